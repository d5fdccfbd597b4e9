"""Exercise of chapter 9: DualPipe."""
