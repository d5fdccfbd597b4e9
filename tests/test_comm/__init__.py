"""Tests of the expert-parallel all-to-all."""
