"""The one place where OR-tools is imported."""

from __future__ import annotations

try:
    from ortools.sat.python import cp_model
except ImportError as error:
    raise ImportError(
        "the search needs OR-tools, which cannot be imported here;"
        " install it with: pip install -e '.[search]'"
    ) from error

__all__ = ["cp_model"]
