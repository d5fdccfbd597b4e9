"""Judge an answer to an exercise.

    python -m exercises.check --list                   which exercises there are
    python -m exercises.check ch03 --skeleton          print the file to start from
    python -m exercises.check ch03 my_answer.py        run the checks

The answer runs in this process, with all your rights and without a limit on time or memory: check
only code that you would run yourself.

Exit status: 0 if every check passes, 1 if one does not, 2 if there is nothing to check (no such
chapter, or a file that is missing or cannot be loaded).
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from dualpipe_ref.grading.answers import AnswerError, load_answer
from dualpipe_ref.grading.checks import Outcome, Status, all_pass, grade
from dualpipe_ref.grading.exercises import all_exercises, find_exercise
from dualpipe_ref.grading.skeleton import skeleton_of
from dualpipe_ref.schedule.errors import InputError

WIDTH = 100


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}; try python -m exercises.check --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the result is its exit status."""
    options = _parser().parse_args(arguments)
    if options.list:
        print("\n".join(_listing()))
        return 0
    try:
        chapter = find_exercise(options.chapter or "")
        if options.skeleton:
            print(skeleton_of(chapter.solution), end="")
            return 0
        if options.file is None:
            raise AnswerError("which file? python -m exercises.check CHAPTER FILE")
        answer = load_answer(options.file)
    except (AnswerError, InputError) as error:
        print(error, file=sys.stderr)
        return 2
    outcomes = grade(chapter.checks, answer)
    print("\n".join([chapter.title, *_table(outcomes)]))
    return 0 if all_pass(outcomes) else 1


def _parser() -> Parser:
    parser = Parser(
        prog="python -m exercises.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("chapter", nargs="?", metavar="CHAPTER", help="for instance ch03")
    parser.add_argument("file", nargs="?", metavar="FILE", help="your answer, a Python file")
    parser.add_argument("--list", action="store_true", help="name the exercises")
    parser.add_argument("--skeleton", action="store_true", help="print the file to start from")
    return parser


def _listing() -> list[str]:
    return [
        f"{chapter.name}  {chapter.title}: {', '.join(chapter.functions)}"
        for chapter in all_exercises()
    ]


def _table(outcomes: list[Outcome]) -> list[str]:
    """A line for each check with what it promises; under one that fails, the reason."""
    names = max(len(outcome.check.name) for outcome in outcomes)
    lines = []
    for check, status, reason in outcomes:
        lines.append(f"  {status:9}  {check.name:{names}}  {check.promise}")
        if reason:
            margin = " " * 13
            lines += textwrap.wrap(reason, WIDTH, initial_indent=margin, subsequent_indent=margin)
    passed = sum(outcome.status is Status.PASS for outcome in outcomes)
    return [*lines, f"{passed} of {len(outcomes)} checks pass"]


if __name__ == "__main__":
    sys.exit(main())
