"""Exercise of chapter 6: Chimera."""
