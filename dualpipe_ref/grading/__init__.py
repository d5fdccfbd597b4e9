"""Graded exercises: properties over generated inputs, counterexamples, hints and reports."""
