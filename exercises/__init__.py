"""Exercises of the book, and the checks that judge an answer. Run: python -m exercises.check --list."""
