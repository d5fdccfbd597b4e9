"""Tests of training: text, settings, processes, metrics."""
