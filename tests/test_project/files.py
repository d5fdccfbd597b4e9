"""The project's own files: what is, or would be, under version control."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# An absolute path that only a developer's machine has. A web address may contain the same words.
MACHINE_PATH = re.compile(r"(?<![\w.:/*-])/(?:work|root|home/[\w-]+|Users/[\w-]+)/[\w.]")
LONGEST_MODULE = 330
UNTRACKED = ("build", "_build", "__pycache__", "jupyter_execute", "_downloads")


def project_files(root: Path = ROOT) -> list[Path]:
    """Tracked files and those that git would add; without git, all but what the tools make."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return [
            path for path in sorted(root.rglob("*")) if path.is_file() and _is_source(path, root)
        ]
    return [root / name for name in listed.stdout.split("\0") if name and (root / name).is_file()]


def _is_source(path: Path, root: Path) -> bool:
    folders = path.relative_to(root).parts[:-1]
    made = (name.startswith(".") and name != ".ci" for name in folders)
    return not any(made) and not any(
        name in UNTRACKED or name.endswith(".egg-info") for name in folders
    )


def machine_paths(files: list[Path]) -> list[str]:
    """Where a text file names a path of a developer's machine."""
    found = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{file}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if MACHINE_PATH.search(line)
        ]
    return found


def long_modules(package: Path) -> list[str]:
    """Modules that hold more than one idea, by their length."""
    lengths = {path: path.read_text().count("\n") for path in sorted(package.rglob("*.py"))}
    return [
        f"{path}: {length} lines; split it (aim: under 300, limit: {LONGEST_MODULE})"
        for path, length in lengths.items()
        if length > LONGEST_MODULE
    ]
