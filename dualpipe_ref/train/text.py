"""The text to learn: a file that the user names, or English that Python brings along, kept in the user's cache.

Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from dualpipe_ref.schedule.errors import InputError, shortened
from dualpipe_ref.schedule.files import write_bytes
from dualpipe_ref.train.docstrings import docstrings_text

BLOCK = 4096  # bytes; every tenth block is held out
SHORTEST = 10 * BLOCK  # so that one block is held out
LEAST_DOCSTRINGS = 1_000_000  # bytes


@dataclass(frozen=True)
class Text:
    """UTF-8 `content`, where it came from, and its SHA-256 in hexadecimal digits."""

    source: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Two runs saw the same text if, and only if, this is the same.

        >>> Text("a file", b"abc").sha256[:12]
        'ba7816bf8f01'
        """
        return hashlib.sha256(self.content).hexdigest()


def load_text(file: str | Path | None = None, cache: str | Path | None = None) -> Text:
    """The text in `file`; without one, the docstrings of the running Python, made once and then taken from `cache`.

    `cache` is a folder (default: the user's cache folder). Where it cannot be written, the text is made each time.
    Raises `InputError` if the file is missing, empty, no UTF-8 text, or shorter than 40,960 bytes.
    """
    return _docstrings(Path(cache or cache_folder())) if file is None else _file(Path(file))


def cache_folder() -> Path:
    """Where this system keeps what a program can make again; XDG_CACHE_HOME counts everywhere."""
    named = os.environ.get("XDG_CACHE_HOME")
    home = Path(os.path.expanduser("~"))
    if not named and sys.platform == "win32":
        named = os.environ.get("LOCALAPPDATA") or str(home / "AppData" / "Local")
    elif not named:
        named = str(home / ("Library/Caches" if sys.platform == "darwin" else ".cache"))
    return Path(named) / "dualpipe-ref"


def _file(path: Path) -> Text:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            "the text is a file that can be read", f"{path}: {error.strerror}"
        ) from None
    _check(path, content)
    return Text(str(path), content)


def _check(path: Path, content: bytes) -> None:
    rule = "the text is a UTF-8 file"
    if not content:
        raise InputError(rule, f"{path}, which is empty")
    try:
        is_text = "\0" not in content.decode()
        place = content.find(b"\0")
    except UnicodeDecodeError as error:
        is_text, place = False, error.start
    if not is_text:
        raise InputError(
            rule, f"{path} with {shortened(content[place : place + 4])} at byte {place}"
        )
    if len(content) < SHORTEST:
        raise InputError(
            f"the text has at least {SHORTEST} bytes, of which every tenth block of {BLOCK} is held out",
            f"{len(content)} bytes in {path}",
            f"{SHORTEST} bytes",
        )


def _docstrings(folder: Path) -> Text:
    """From the cache if its first line is the hash of the rest, else made and cached."""
    source = f"docstrings of {platform.python_implementation()} {platform.python_version()}"
    file = folder / f"{source.lower().replace(' ', '-')}.txt"
    cached = _cached(file)
    if cached is not None:
        return Text(source, cached)
    made = Text(source, docstrings_text().encode())
    if len(made.content) < LEAST_DOCSTRINGS:
        raise InputError(
            f"this Python brings at least {LEAST_DOCSTRINGS} bytes of documentation",
            f"{len(made.content)} bytes",
            "a text file of your own",
        )
    with contextlib.suppress(OSError, InputError):
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(file, made.sha256.encode() + b"\n" + made.content)
    return made


def _cached(file: Path) -> bytes | None:
    try:
        said, _, content = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if said.decode(errors="replace") == Text("", content).sha256 else None
