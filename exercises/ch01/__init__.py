"""Exercise of chapter 1: the arithmetic of waiting."""
