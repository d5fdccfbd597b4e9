"""Exercise of chapter 16: a design memo whose arithmetic is checked."""
