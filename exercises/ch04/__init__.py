"""Exercise of chapter 4: interleaved 1F1B."""
