"""Tests of the exercises: of their solutions, and of the checks that judge answers."""
