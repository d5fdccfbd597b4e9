"""Which exercises there are, and where their parts stand. Standard library only."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from dualpipe_ref.grading.checks import Check
from dualpipe_ref.grading.skeleton import skeleton_of
from dualpipe_ref.schedule.errors import InputError

# A folded paragraph of the book: its title, then its text.
HINT = re.compile(r"^:::\{dropdown\}([^\n]*)\n(.*?)^:::$", re.MULTILINE | re.DOTALL)
_PACKAGE = Path(__file__).resolve().parents[1]
# In an installed package the exercises lie inside it; in a checkout beside it.
PLACES = (_PACKAGE / "exercises", _PACKAGE.parent / "exercises")


@dataclass(frozen=True)
class Exercise:
    """One folder `chNN`: the task, a solution, hints, checks, and answers that must be rejected."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

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

    @property
    def hints(self) -> list[tuple[str, str]]:
        """(title, text) of each hint, from weak to strong."""
        text = (self.folder / "hints.md").read_text(encoding="utf-8")
        found = HINT.findall(text)
        return [(title.strip(), body.strip()) for title, body in found]

    @cached_property
    def module(self) -> ModuleType:
        """checks.py, loaded only here: a later chapter's checks may need what this machine has not."""
        name = f"exercise_{self.name}"
        if name not in sys.modules:  # a package, so that checks.py may import a file beside it
            package = ModuleSpec(name, None, is_package=True)
            package.submodule_search_locations = [str(self.folder)]
            sys.modules[name] = module_from_spec(package)
        return _load(f"{name}.checks", self.folder / "checks.py")

    @property
    def checks(self) -> tuple[Check, ...]:
        found: tuple[Check, ...] = self.module.CHECKS
        return found

    @cached_property
    def functions(self) -> list[str]:
        """What a reader has to write: the functions of the solution that the skeleton keeps."""
        tree = ast.parse(skeleton_of(self.solution))
        return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def _load(name: str, path: Path) -> ModuleType:
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def all_exercises() -> list[Exercise]:
    """All exercises of this checkout or installed package, by chapter.

    >>> [exercise.name for exercise in all_exercises()][:3]
    ['ch01', 'ch02', 'ch03']
    """
    root = next((place for place in PLACES if place.is_dir()), PLACES[-1])
    return [Exercise(path.parent) for path in sorted(root.glob("ch[0-9][0-9]/checks.py"))]


def find_exercise(name: str | Path) -> Exercise:
    """The exercise of this name, or in this folder.

    >>> find_exercise("ch03").functions
    ['gpipe', 'one_f_one_b']
    >>> find_exercise("ch99")
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: an exercise is a folder with checks.py, or one of ch02, ...
    """
    folder = Path(name)
    if (folder / "checks.py").is_file():
        return Exercise(folder.resolve())
    known = {exercise.name: exercise for exercise in all_exercises()}
    if str(name) not in known:
        raise InputError(
            f"an exercise is a folder with checks.py, or one of {', '.join(known)}", repr(str(name))
        )
    return known[str(name)]
