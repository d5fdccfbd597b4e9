"""Checks of the project itself: its layers, pins, pages' notebooks, texts and commands."""
