"""Make the reader's starting point from a solution, so that the two never differ in anything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

BEGIN, END = "# skeleton: begin", "# skeleton: end"
TO_WRITE = 'raise NotImplementedError("your turn")'


def skeleton_of(path: str | Path) -> str:
    """The text of this solution without what stands between its markers.

    Inside a function that becomes one line, at the indentation of the marker, which raises
    NotImplementedError. At the left margin (helpers that a reader may not need) it goes altogether.
    Raises ValueError for a file without markers, or with one that has no partner.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "solution.py")
    ...     _ = path.write_text("def f():\\n    # skeleton: begin\\n    return 1\\n    # skeleton: end\\n")
    ...     print(skeleton_of(path))
    def f():
        raise NotImplementedError("your turn")
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    kept = "\n".join(_kept(lines, str(path))).rstrip() + "\n"
    while "\n\n\n\n" in kept:  # where a helper went
        kept = kept.replace("\n\n\n\n", "\n\n\n")
    return kept


def _kept(lines: list[str], name: str) -> Iterator[str]:
    inside, blocks = False, 0
    for number, line in enumerate(lines, start=1):
        marker = line.strip()
        if marker in (BEGIN, END):
            if inside is (marker == BEGIN):
                raise ValueError(f"{name}, line {number}: {marker!r} has no partner")
            inside = not inside
            indent = line[: len(line) - len(line.lstrip())]
            if inside and indent:
                yield indent + TO_WRITE
            blocks += inside
        elif not inside:
            yield line
    if inside or not blocks:
        raise ValueError(f"{name}: {END if inside else BEGIN!r} is missing")
