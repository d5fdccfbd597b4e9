"""Exercise of chapter 3: GPipe and 1F1B."""
