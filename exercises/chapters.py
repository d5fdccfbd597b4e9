"""Which exercises there are, and where their parts stand."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

from exercises.grading import Check
from exercises.skeleton import skeleton_of

ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Chapter:
    """One folder `chNN`: the task, a solution, hints, checks, and answers that must be rejected."""

    name: str

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    @property
    def solution(self) -> Path:
        return self.folder / "solution.py"

    @property
    def wrong(self) -> list[Path]:
        return sorted((self.folder / "wrong").glob("*.py"))

    @property
    def title(self) -> str:
        """The heading of the task."""
        text = (self.folder / "exercise.md").read_text(encoding="utf-8")
        return next(line[2:] for line in text.splitlines() if line.startswith("# "))

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Imported only here: a later chapter's checks may need what this machine has not."""
        found: tuple[Check, ...] = import_module(f"exercises.{self.name}.checks").CHECKS
        return found

    def functions(self) -> list[str]:
        """What a reader has to write: the functions of the solution that the skeleton keeps."""
        tree = ast.parse(skeleton_of(self.solution))
        return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def chapters() -> list[Chapter]:
    """All exercises, by chapter."""
    return [Chapter(path.parent.name) for path in sorted(ROOT.glob("ch[0-9][0-9]/checks.py"))]
