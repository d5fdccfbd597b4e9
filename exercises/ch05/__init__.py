"""Exercise of chapter 5: the backward in two halves."""
