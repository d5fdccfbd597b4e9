"""The training command: it learns, goes on bit for bit where it stopped, and whatever the cut, sees the same step."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader, load

from dualpipe_ref import InputError
from dualpipe_ref.train import checkpoint
from tests.test_project.files import ROOT

# Few and long micro-batches: the held-out text is thousands of short ones.
SMALL = "--tokens 64 --sequences 4 --hidden 16 --experts 4 --microbatches 4 --evaluate-every 2 --warmup 2"
TWO = ["--nproc", "2"]


def train(*options: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dualpipe_ref", "train", *SMALL.split(), *map(str, options)]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == expect, f"{ended.stdout[-2000:]} {ended.stderr[-3000:]}"
    return ended


def losses(file: Path) -> list[tuple[int, float, float]]:
    rows = map(json.loads, file.read_text().splitlines())
    return [(row["step"], row["loss"], row["gradient_norm"]) for row in rows]


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    kept = FileSystemReader(checkpoint).read_metadata().state_dict_metadata
    state = {
        name: torch.empty(one.size, dtype=one.properties.dtype)
        for name, one in kept.items()
        if not name.startswith("random")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this is one process
        load(state, checkpoint_id=checkpoint, no_dist=True)
    return state


def test_a_run_goes_on_bit_for_bit_where_it_was_stopped(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight / "step-00000002", tmp_path / "step-00000002")
    metrics = tmp_path / "metrics.jsonl"
    options = ["--nproc", 2, "--steps", 4, "--checkpoint", tmp_path, "--resume"]
    said = train(*options, "--metrics", metrics).stdout
    assert "goes on after step 2" in said
    assert losses(metrics) == losses(straight / "metrics.jsonl")[2:]
    wanted = tensors(straight / "step-00000004")
    for name, value in tensors(tmp_path / "step-00000004").items():
        assert torch.equal(value, wanted[name]), name


def losses_of(metrics: Path, *options: object) -> list[float]:
    train(*options, "--steps", 2, "--metrics", metrics, "--timeout", 60)
    return [loss for _, loss, _ in losses(metrics)]


@pytest.mark.slow  # tests/test_runtime/test_executor.py compares the steps of all schedules
def test_another_schedule_sees_the_same_steps(straight: Path, tmp_path: Path) -> None:
    wanted = [loss for _, loss, _ in losses(straight / "metrics.jsonl")]
    got = losses_of(tmp_path / "1f1b.jsonl", "--schedule", "1f1b", "--nproc", 2)
    assert got == pytest.approx(wanted[:2], rel=1e-5)


@pytest.mark.slow  # tests/test_model/test_recompute.py compares the bits of every policy
@pytest.mark.parametrize("policy", ["norms", "full"])
def test_making_again_changes_no_bit(straight: Path, tmp_path: Path, policy: str) -> None:
    wanted = [loss for _, loss, _ in losses(straight / "metrics.jsonl")]
    got = losses_of(tmp_path / "made_again.jsonl", "--nproc", 2, "--recompute", policy)
    assert got == wanted[:2]


@pytest.mark.slow  # tests/test_runtime/test_executor.py compares steps with shared experts
def test_sharing_experts_changes_no_step(tmp_path: Path) -> None:
    """Two copies of everything, and two processes with half of the experts each, on the same text."""
    both = [losses_of(tmp_path / f"{how}.jsonl", "--nproc", 4, how, 2) for how in ("--dp", "--ep")]
    assert both[0] == pytest.approx(both[1], rel=1e-5)


def test_a_checkpoint_goes_on_with_another_schedule(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight / "step-00000002", tmp_path / "step-00000002")
    metrics = tmp_path / "metrics.jsonl"
    options = ["--schedule", "zb-h1", "--nproc", 4, "--steps", 4, "--checkpoint", tmp_path]
    train(*options, "--resume", "--metrics", metrics)
    for (_, got, _), (_, loss, _) in zip(
        losses(metrics), losses(straight / "metrics.jsonl")[2:], strict=True
    ):
        assert got == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--nproc", "3"], "DualPipe needs an even number of ranks"),
        (["--steps", "0"], "steps must be an int of at least 1"),
        ([*TWO, "--data", "/nowhere.txt"], "/nowhere.txt"),
        ([*TWO, "--resume"], "a run is resumed from a checkpoint folder"),
        ([*TWO, "--resume", "--checkpoint", "/nowhere"], "none in /nowhere"),
        (["--schedule", "dualpip"], "dualpipe"),
        (["--experts", "5", "--ep", "2", "--nproc", "4"], "equally many experts"),
        ([*TWO, "--ema", "1"], "ema is a decay below 1"),
        ([*TWO, "--moments", "half"], "moments are float32 or bf16"),
        ([*TWO, "--recompute", "some"], "recompute is one of none, norms"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(options: list[str], says: str) -> None:
    ended = train(*options, expect=2)
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not ended.stdout


@pytest.mark.slow  # tests/test_runtime/test_average.py has the average itself
def test_an_average_is_kept_evaluated_and_resumed(tmp_path: Path) -> None:
    options = ["--nproc", 2, "--steps", 4, "--ema", 0.75, "--checkpoint", tmp_path]
    metrics = tmp_path / "metrics.jsonl"
    train(*options, "--checkpoint-every", 1, "--metrics", metrics)
    before, last = (tensors(tmp_path / f"step-0000000{step}") for step in (3, 4))
    names = [name for name in last if name.startswith("average.")]
    assert len(names) == sum(
        name.startswith("model.") and ".router." not in name for name in last
    ) + sum(name.endswith("router.weight") and name.startswith("model.") for name in last)
    for name in names:
        own = last[name.replace("average.", "model.", 1)]
        assert torch.equal(last[name], before[name].lerp(own, 0.25)), name
    (*_, row) = map(json.loads, metrics.read_text().splitlines())
    assert row["held_out_loss"] != row["held_out_loss_of_average"]
    shutil.rmtree(tmp_path / "step-00000004")
    train(*options, "--resume")
    for name, value in tensors(tmp_path / "step-00000004").items():
        assert torch.equal(value, last[name]), name


@pytest.mark.slow  # tests/test_runtime/test_narrow_adamw.py compares its bits
def test_moments_in_two_bytes_go_on_bit_for_bit(tmp_path: Path) -> None:
    options = ["--nproc", 2, "--steps", 2, "--moments", "bf16", "--checkpoint", tmp_path]
    train(*options, "--checkpoint-every", 1)
    last = tensors(tmp_path / "step-00000002")
    moments = [one for name, one in last.items() if ".exp_avg" in name]
    assert moments
    assert {one.dtype for one in moments} == {torch.bfloat16}
    shutil.rmtree(tmp_path / "step-00000002")
    train(*options, "--resume")
    for name, value in tensors(tmp_path / "step-00000002").items():
        assert torch.equal(value, last[name]), name


def test_an_average_cannot_be_resumed_where_there_was_none(straight: Path) -> None:
    stage = SimpleNamespace(names=lambda: {"weight": "layers.0.weight"}, state_dict=dict)
    average = SimpleNamespace(named=lambda: [(stage, "weight", torch.ones(2))])
    optimizer = SimpleNamespace(prepare=lambda: None, states=list)
    parts = checkpoint.Parts(SimpleNamespace(stages=[]), optimizer, average)  # type: ignore[arg-type]
    with one_process(), pytest.raises(InputError, match=r"average\.layers\.0\.weight is missing"):
        checkpoint.load(straight / "step-00000002", parts)


@pytest.mark.slow  # the test before this one has the refusal itself
def test_a_resumption_with_an_average_ends_with_the_reason(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight / "step-00000002", tmp_path / "step-00000002")
    options = ["--nproc", 2, "--steps", 4, "--ema", 0.75, "--checkpoint", tmp_path, "--resume"]
    assert "average." in train(*options, expect=1).stderr


@contextmanager
def one_process() -> Iterator[None]:
    """A process group of this process alone."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()
