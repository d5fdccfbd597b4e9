"""The fastest order of work for a small pipeline, with a proof or a gap. Needs the extra `search` (OR-tools)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dualpipe_ref.search.problem import PLACEMENTS, Problem, rules_of

if TYPE_CHECKING:
    from dualpipe_ref.search.solve import Found, NothingFoundError, search

# These import OR-tools when they are first asked for.
_LATE = ("Found", "NothingFoundError", "search")


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module("dualpipe_ref.search.solve"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["PLACEMENTS", "Found", "NothingFoundError", "Problem", "rules_of", "search"]
