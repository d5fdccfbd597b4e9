"""Schedules on real processes: each rank runs its program's ops and messages, in their order. Needs torch."""
