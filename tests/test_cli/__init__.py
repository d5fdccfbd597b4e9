"""The dualpipe-ref command: what it prints and writes, and how it says no."""
