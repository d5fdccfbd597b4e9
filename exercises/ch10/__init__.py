"""Exercise of chapter 10: DualPipe, cut in half, and when that is enough."""
