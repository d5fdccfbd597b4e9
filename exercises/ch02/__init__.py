"""Exercise of chapter 2: a checker for schedules."""
