"""What recording costs: the recorder's own work as a share of the step that it recorded."""

from __future__ import annotations

from dualpipe_ref.bench.results import Row
from dualpipe_ref.runtime.recorder import Recorder
from dualpipe_ref.runtime.trace import recording_share


def row(recorder: Recorder) -> Row:
    """The row of a rank's last step, in percent; see `runtime.trace.recording_share`.

    >>> from dualpipe_ref.schedule import build
    >>> op = build("gpipe", 2, 1).ops[0][0]
    >>> found = row(Recorder(ops=[(op, 0, 10**9)]))
    >>> found.bench, 0 < found.value < 2
    ('recording of a step', True)
    """
    return Row("recording of a step", 100 * recording_share(recorder), "% of its time", "<= 2")
