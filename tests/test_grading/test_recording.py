"""An exercise that needs a GPU is graded from a recording where there is none, and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dualpipe_ref import InputError
from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Check, Status, all_pass
from dualpipe_ref.grading.exercises import Exercise
from dualpipe_ref.grading.judge import judge
from dualpipe_ref.grading.recording import (
    MissingEvidenceError,
    evidence,
    read_recording,
    write_recording,
)
from dualpipe_ref.grading.source import Source

# Which SM each block of a launch ran on.
MEASURED, RECORDED = [3, 3, 7], [0, 5, 5, 9]
RIGHT = "def count(sms):\n    return len(set(sms))\n"
WRONG = "def count(sms):\n    return len(sms)\n"


@pytest.fixture
def recording(tmp_path) -> Path:
    path = tmp_path / "blocks.json"
    write_recording(path, RECORDED, device="a GPU", date="2026-01-02", made_by="a command")
    return path


def exercise(folder: Path, recording: Path, has_gpu: bool) -> Exercise:
    """A folder as a chapter has it, with one check that judges what a GPU did."""
    folder.mkdir()
    (folder / "exercise.md").write_text("# Which SMs ran\n")
    (folder / "checks.py").write_text(f"""
from pathlib import Path
from dualpipe_ref.grading.answers import call
from dualpipe_ref.grading.checks import Check
from dualpipe_ref.grading.recording import evidence

def differs(answer, seen):
    said, wanted = call(answer, "count", seen.data), len(set(seen.data))
    return None if said == wanted else f"you count {{said}}, {{wanted}} ran"

CHECKS = (Check("sms", "counts the SMs", differs, evidence=lambda: evidence(
    lambda: {MEASURED}, Path({str(recording)!r}), lambda: {has_gpu})),)
""")
    return Exercise(folder)


@pytest.mark.parametrize(
    ("has_gpu", "origin", "reason"),
    [
        (True, "measured on the GPU of this machine", "you count 3, 2 ran"),
        (
            False,
            "no GPU here: judged on what was recorded on a GPU on 2026-01-02",
            "you count 4, 3",
        ),
    ],
)
def test_the_same_check_judges_a_measurement_or_a_recording(
    has_gpu, origin, reason, recording, tmp_path
):
    chapter = exercise(tmp_path / f"gpu_{has_gpu}", recording, has_gpu)
    right = judge(chapter, Source(RIGHT))
    assert right.has_full_marks
    assert right.notes == (origin,)
    wrong = judge(chapter, Source(WRONG))
    assert reason in wrong.outcomes[0].reason
    assert origin in wrong.as_text().replace("\n", " ")


def test_without_gpu_and_recording_nothing_is_skipped_in_silence(tmp_path):
    chapter = exercise(tmp_path / "none", tmp_path / "missing.json", has_gpu=False)
    with pytest.raises(MissingEvidenceError, match=r"missing\.json"):
        judge(chapter, Source(RIGHT))


def test_the_note_comes_with_the_outcome(recording):
    check = Check(
        "n", "p", lambda answer, seen: None, evidence=lambda: evidence(list, recording, bool)
    )
    from dualpipe_ref.grading.checks import grade

    (outcome,) = grade([check], None)
    assert outcome.status is Status.PASS
    assert "2026-01-02" in outcome.note
    assert all_pass([outcome])
    assert callable(call)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no recording"),
        ("[]", "a recording has version"),
        ('{"version": 1}', "a recording has version"),
        (
            json.dumps({"version": 2, "device": "", "date": "", "made_by": "", "data": 0}),
            "version 1",
        ),
    ],
)
def test_what_is_no_recording_is_refused(text, why, tmp_path):
    path = tmp_path / "recording.json"
    path.write_text(text)
    with pytest.raises(InputError, match=why):
        read_recording(path)


def test_a_recording_is_whole_or_not_there(tmp_path):
    path = tmp_path / "recording.json"
    with pytest.raises(ValueError, match=r"JSON compliant|not JSON"):
        write_recording(path, float("nan"), device="", date="", made_by="")
    assert not path.exists()
