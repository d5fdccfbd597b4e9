"""Exercise of chapter 11: does it fit, and a backward that makes again what was not kept."""
