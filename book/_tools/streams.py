"""What a cell prints, as it was printed: a kernel sends it in pieces, cut where a timer happens to run out."""

from __future__ import annotations

from typing import Any

from myst_nb.core import render, utils

Outputs = list[Any]


def joined(outputs: Outputs) -> Outputs:
    """One output a stream, in the place of its first piece.

    MyST-NB ends every piece with a new line, also one that was cut within a line.
    """
    kept: Outputs = []
    streams: dict[str, Any] = {}
    for output in outputs:
        name = output.get("name") if output["output_type"] == "stream" else None
        if name in streams:
            streams[name]["text"] += output["text"]
        else:
            kept.append(output)
            if name is not None:
                streams[name] = output
    return kept


def merge(outputs: Outputs) -> Outputs:
    """MyST-NB's own merging, of whole streams."""
    merged: Outputs = utils.coalesce_streams(joined(outputs))
    return merged


def install() -> None:
    """Have MyST-NB merge in this way, where `nb_merge_streams` is set."""
    assert render.coalesce_streams in (utils.coalesce_streams, merge)
    render.coalesce_streams = merge
