"""What a cell prints is on the page as it was printed, whatever the pieces in which the kernel sends it."""

from __future__ import annotations

import copy
import itertools
import sys

from hypothesis import given
from hypothesis import strategies as st
from myst_nb.core.utils import coalesce_streams
from nbformat.v4 import new_output

from tests.test_project.files import ROOT

sys.path.append(str(ROOT / "book" / "_tools"))
from streams import merge

TEXT = "best in 24 of 81\n  the smallest: 3\n\nend\n"


def pieces(cuts: list[int]) -> list[object]:
    """TEXT as outputs that are cut there, with a figure after the first."""
    places = [0, *sorted(cuts), len(TEXT)]
    streams = [
        new_output("stream", name="stdout", text=TEXT[start:end])
        for start, end in itertools.pairwise(places)
    ]
    return [streams[0], new_output("display_data"), *streams[1:]]


@given(st.lists(st.integers(0, len(TEXT)), max_size=6))
def test_pieces_make_the_text(cuts: list[int]) -> None:
    stream, figure = merge(pieces(cuts))
    assert (stream["text"], figure["output_type"]) == (TEXT, "display_data")


def test_streams_stay_apart() -> None:
    both = [new_output("stream", name=name, text=name) for name in ("stdout", "stderr")]
    assert sorted(one["text"] for one in merge(copy.deepcopy(both))) == ["stderr\n", "stdout\n"]
    assert merge([]) == []


def test_what_the_library_does_alone_is_seen() -> None:
    """The planted fault: a line is broken where a piece ends."""
    assert coalesce_streams(pieces([4]))[0]["text"] != TEXT
