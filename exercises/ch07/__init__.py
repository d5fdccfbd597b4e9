"""Exercise of chapter 7: routing, layout and bytes of a mixture of experts."""
