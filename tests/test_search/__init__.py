"""Tests of dualpipe_ref.search."""
