"""Tests of schedules on real processes."""
