"""Tests of dualpipe_ref.simulate."""
