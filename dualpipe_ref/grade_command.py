"""`dualpipe-ref grade`: judge answers to exercises, list the exercises, print where to start."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dualpipe_ref.grading.exercises import Exercise, all_exercises, find_exercise
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.report import Report
from dualpipe_ref.grading.skeleton import skeleton_of
from dualpipe_ref.grading.source import answer_source, notebook_exercise
from dualpipe_ref.schedule.errors import InputError

ANSWERS = (".py", ".ipynb")
RULE = (
    "grade takes exercises, each with the file of its answer after it, or a notebook of an exercise"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="EXERCISE [ANSWER]",
        help="such as exercises/ch03 or ch03, then a .py or .ipynb; without one, what you changed"
        " last in that folder: answer.py or a notebook",
    )
    parser.add_argument("--list", action="store_true", help="name the exercises")
    parser.add_argument("--skeleton", action="store_true", help="print the file to start from")
    parser.add_argument("--format", choices=["text", "json", "gradescope"], default="text")
    parser.add_argument("--out", metavar="FILE", help="write the report there (results.json)")


def run(options: argparse.Namespace) -> int:
    """Exit status 0: full marks everywhere; 1: not; what cannot be graded is an `InputError` (2)."""
    if options.list:
        print("\n".join(map(_listed, all_exercises())))
        return 0
    if not options.paths:
        raise InputError(RULE, "nothing", f"grade {all_exercises()[0].name}")
    if options.skeleton:
        for path in options.paths:
            print(skeleton_of(find_exercise(path).solution), end="")
        return 0
    if options.format == "gradescope" and sum(not _is_answer(path) for path in options.paths) > 1:
        raise InputError("Gradescope takes one exercise at a time", " ".join(options.paths))
    reports, problems = _judged(options.paths)
    _write(reports, options)
    if problems:
        raise InputError("; ".join(problems))
    return 0 if all(report.has_full_marks for report in reports) else 1


def _listed(exercise: Exercise) -> str:
    points = sum(check.points for check in exercise.checks)
    return f"{exercise.name}  {exercise.title}: {', '.join(exercise.functions)} ({points} points)"


def _judged(paths: Sequence[str]) -> tuple[list[Report], list[str]]:
    """The reports, and what could not be graded: one of them does not keep the others from it."""
    reports, problems = [], []
    for exercise_path, answer_path in _pairs(paths):
        try:
            reports.append(_graded(exercise_path, answer_path))
        except InputError as error:
            problems.append(str(error))
    return reports, problems


def _is_answer(path: str) -> bool:
    return path.endswith(ANSWERS)


def _pairs(paths: Sequence[str]) -> Iterator[tuple[str | None, str | None]]:
    """(exercise, answer) of what was typed: an answer belongs to the exercise before it."""
    exercise: str | None = None
    for path in paths:
        if _is_answer(path):
            yield exercise, path
            exercise = None
        else:
            if exercise is not None:
                yield exercise, None
            exercise = path
    if exercise is not None:
        yield exercise, None


def _graded(exercise_path: str | None, answer_path: str | None) -> Report:
    if exercise_path is None:
        assert answer_path is not None
        exercise_path = _exercise_of(Path(answer_path))
    exercise = find_exercise(exercise_path)
    path = Path(answer_path) if answer_path else _newest(exercise)
    source = answer_source(path, exercise.functions)
    if sys.stderr.isatty():
        print(f"checking {path} ...", file=sys.stderr)
    found = judge(exercise, source, path.name)
    return Report(
        found.exercise,
        found.title,
        found.outcomes,
        found.printed,
        (f"Graded: {path}", *found.notes),
    )


def _exercise_of(path: Path) -> str:
    """What the notebook itself says: it may have been renamed, or moved."""
    named = notebook_exercise(path) if path.suffix == ".ipynb" else None
    if named is None:
        raise InputError(RULE, f"{path} alone", f"grade {all_exercises()[0].name} {path}")
    return named


def _newest(exercise: Exercise) -> Path:
    """What a reader changed last: answer.py, or a notebook under whatever name."""
    found = [*exercise.folder.glob("answer.py"), *exercise.folder.glob("*.ipynb")]
    if not found:
        raise InputError(
            "an answer is answer.py or a notebook in the folder of its exercise, or is named",
            f"none in {exercise.folder}",
            f"grade {exercise.name} FILE",
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def _write(reports: list[Report], options: argparse.Namespace) -> None:
    if not reports:
        return
    text = _in_format(reports, options.format)
    if options.out is None:
        print(text)
        return
    target = Path(options.out)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise InputError("the report cannot be written", f"{target}: {error.strerror}") from None
    print("\n".join(f"{report.exercise}: {report.total}" for report in reports))
    print(target)


def _in_format(reports: list[Report], form: str) -> str:
    if form == "text":
        return "\n\n".join(report.as_text() for report in reports)
    content: Any
    if form == "gradescope":
        content = reports[0].as_gradescope()
    else:
        content = [report.as_dict() for report in reports]
        content = content[0] if len(content) == 1 else content
    return json.dumps(content, allow_nan=False, indent=1, ensure_ascii=False)
