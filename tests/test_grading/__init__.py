"""Tests of how answers are run, judged and reported."""
