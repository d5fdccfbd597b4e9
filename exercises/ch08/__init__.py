"""Exercise of chapter 8: a forward and a backward that take turns."""
