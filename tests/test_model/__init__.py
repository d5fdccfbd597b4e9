"""Tests of the model: its parts against slow ones, its cuts against the whole."""
