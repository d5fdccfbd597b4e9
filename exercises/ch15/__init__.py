"""Exercise of chapter 15: make it train, and find the straggler."""
