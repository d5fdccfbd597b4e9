"""Exercise of chapter 13: a ring between two GPUs, judged over all schedules."""
