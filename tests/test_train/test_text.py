"""The text: where it comes from, what is refused, and a cache that is never believed without its hash."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dualpipe_ref import InputError
from dualpipe_ref.train import text as text_module
from dualpipe_ref.train.docstrings import docstrings_text
from dualpipe_ref.train.text import SHORTEST, Text, cache_folder, load_text
from tests.test_project.files import ROOT


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Text]:
    folder = tmp_path_factory.mktemp("cache")
    return folder, load_text(cache=folder)


def test_the_documentation_is_long_english_text(cached: tuple[Path, Text]) -> None:
    content = cached[1].content
    assert len(content) > 1_000_000
    assert content.decode().count(" the ") > 10_000
    assert b'The "with" statement' in content
    letters = sum(chr(one).isalpha() or chr(one).isspace() for one in content)
    assert letters / len(content) > 0.8


def test_it_is_the_same_in_another_process(cached: tuple[Path, Text], tmp_path: Path) -> None:
    """Whatever the order of hashes, and with nothing of the library imported."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "from dualpipe_ref.train.text import load_text\n"
        f"print(load_text(cache={str(tmp_path)!r}).sha256, 'antigravity' in sys.modules, 'idlelib' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == [cached[1].sha256, "False", "False"]


def test_docstrings_are_read_without_running_anything(tmp_path: Path) -> None:
    body = "A docstring that is long enough to count as a sentence."
    (tmp_path / "b.py").write_text(f'"""{body}"""\nraise SystemExit\n')
    (tmp_path / "a.py").write_text(f'def f():\n    """\n    Another, {body}\n    """\n')
    (tmp_path / "c.py").write_text(f'"""{body}"""\nclass C:\n    """Short."""\n')
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "d.py").write_text(f'"""Of a test: {body}"""')
    topics = tmp_path / "pydoc_data"
    topics.mkdir()
    (topics / "topics.py").write_text(f"topics = {{'z': 'Z: {body}', 'y': 'Y: {body}'}}\n")
    wanted = [f"Y: {body}", f"Z: {body}", f"Another, {body}", body]
    assert docstrings_text(tmp_path) == "\n\n".join(wanted) + "\n"


def test_the_cache_is_taken_where_its_hash_fits(
    cached: tuple[Path, Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> str:
        raise AssertionError("made although it is cached")

    monkeypatch.setattr(text_module, "docstrings_text", never)
    assert load_text(cache=cached[0]) == cached[1]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other"])
def test_a_damaged_cache_is_made_again(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "words and more words " * 60_000
    monkeypatch.setattr(text_module, "docstrings_text", lambda: made)
    load_text(cache=tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    file.write_bytes(
        {
            "cut": good[:-9],
            "changed": good.replace(b"more", b"less", 1),
            "empty": b"",
            "other": b"\xff\xfe nothing of ours",
        }[damage]
    )
    assert load_text(cache=tmp_path).content == made.encode()
    assert file.read_bytes() == good
    assert list(tmp_path.iterdir()) == [file], "no half file is left"


def test_a_folder_that_cannot_be_written_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "docstrings_text", lambda: "words " * 200_000)
    (tmp_path / "file").write_text("")
    assert len(load_text(cache=tmp_path / "file" / "folder").content) == 1_200_000


def test_a_python_without_documentation_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "docstrings_text", lambda: "words")
    with pytest.raises(InputError, match="nearest legal: a text file of your own"):
        load_text(cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes("Grüße\r\n".encode() * SHORTEST)
    text = load_text(file)
    assert text.content == file.read_bytes()
    assert text.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "which is empty"),
        (b"a" * (SHORTEST - 1), f"nearest legal: {SHORTEST} bytes"),
        (b"a" * 50_000 + b"\0" + b"a" * 50_000, r"at byte 50000"),
        (b"a" * 50_000 + b"\xff\xfe" * 9, r"at byte 50000"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_text(file)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        load_text(tmp_path)


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "dualpipe-ref"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / ".cache" / "dualpipe-ref"
