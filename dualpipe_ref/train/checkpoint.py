"""Checkpoints by torch.distributed.checkpoint, whole or not there: written beside, then renamed.

Tensors have the names that they have in the whole model, so a checkpoint does not depend on how the model was cut: a
run may be resumed with another schedule or another number of processes.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed
from torch import Tensor
from torch.distributed import checkpoint

from dualpipe_ref.runtime.average import HostAverage
from dualpipe_ref.runtime.failure import together
from dualpipe_ref.runtime.optimizer import ShardedAdamW
from dualpipe_ref.runtime.pipeline import Pipeline
from dualpipe_ref.schedule import InputError
from dualpipe_ref.schedule.files import write_text
from dualpipe_ref.train.text import Text

KEPT = 2  # the last ones; older ones are removed
_FOLDER = re.compile(r"step-(\d{8})")
State = dict[str, Tensor]


class Parts(NamedTuple):
    """What a checkpoint is made of; there may be no average."""

    pipeline: Pipeline
    optimizer: ShardedAdamW
    average: HostAverage | None


def save(folder: Path, step: int, parts: Parts, about: dict[str, Any]) -> Path:
    """Write the state after `step` steps; `about` is kept as JSON beside it. All processes call this together.

    Raises RuntimeError on every process where one cannot write; the checkpoints before it stay as they are.
    """
    whole, partial = folder / f"step-{step:08d}", folder / f"step-{step:08d}.partial"
    is_first = torch.distributed.get_rank() == 0
    if is_first:
        shutil.rmtree(partial, ignore_errors=True)
    with together(f"the start of the checkpoint of step {step}"):
        torch.distributed.barrier()
    try:
        with _quiet():
            checkpoint.save(_state(parts), checkpoint_id=partial)
        failed = _write_about(partial, about | {"step": step}) if is_first else ""
    except checkpoint.api.CheckpointException as error:
        failed = "; ".join(sorted({str(one) for one, _ in error.failures.values()}))
    _agree(failed, step, partial)
    if is_first:
        shutil.rmtree(whole, ignore_errors=True)
        partial.rename(whole)
        for old in _whole(folder)[:-KEPT]:
            shutil.rmtree(old)
    with together(f"the end of the checkpoint of step {step}"):
        torch.distributed.barrier()
    return whole


def _write_about(folder: Path, about: dict[str, Any]) -> str:
    try:
        write_text(folder / "run.json", json.dumps(about, indent=1) + "\n")
    except (OSError, InputError) as error:
        return str(error)
    return ""


def _agree(failed: str, step: int, partial: Path) -> None:
    """All go on, or all stop."""
    told: list[str] = [""] * torch.distributed.get_world_size()
    with together(f"the checkpoint of step {step}"):
        torch.distributed.all_gather_object(told, failed)
    reasons = [f"rank {rank}: {one}" for rank, one in enumerate(told) if one]
    if reasons:
        # Before what was written is removed: a full disk is a common reason, and torch's own words do not always say so.
        free_bytes = shutil.disk_usage(partial.parent).free
        torch.distributed.barrier()
        if torch.distributed.get_rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
        last = _whole(partial.parent)
        left = f"the last whole one is {last[-1].name}" if last else "there is none before it"
        free = f"{free_bytes:,} bytes are free there"
        raise RuntimeError(
            f"the checkpoint of step {step} cannot be written to {partial.parent}: {reasons[0][:300]}; {free}; {left}"
        )


def latest(folder: Path) -> Path:
    """The last whole checkpoint. Raises `InputError` where there is none."""
    found = _whole(folder)
    if not found:
        raise InputError("a run is resumed from a checkpoint", f"none in {folder}")
    return found[-1]


def about(path: Path) -> dict[str, Any]:
    """What was kept beside a checkpoint. Raises `InputError`."""
    try:
        kept: dict[str, Any] = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("a checkpoint has a run.json", f"{path}: {error}") from None
    return kept


def check_text(kept: dict[str, Any], text: Text) -> None:
    """Raise `InputError` where a run would go on with another text than it began with."""
    if kept.get("text") != text.sha256:
        raise InputError(
            "a run goes on with the text that it began with",
            f"SHA-256 {text.sha256[:12]} from {text.source}",
            str(kept.get("text"))[:12],
        )


def load(path: Path, parts: Parts) -> None:
    """Fill parameters, buffers, the states of this process's share, and the average where there is one. All processes call this together.

    Raises `InputError` where the checkpoint lacks something or has another shape.
    """
    parts.optimizer.prepare()
    state = _state(parts)
    kept = checkpoint.FileSystemReader(path).read_metadata().state_dict_metadata
    mine = _random_name()
    if mine not in kept:  # another number of processes
        del state[mine]
    for name, value in state.items():
        size = getattr(kept.get(name), "size", None)
        if size is None or tuple(size) != tuple(value.shape):
            raise InputError(
                "a checkpoint holds the model that is resumed",
                f"{name} is {'missing' if size is None else tuple(size)} in {path}",
                f"{tuple(value.shape)}",
            )
    with _quiet():
        checkpoint.load(state, checkpoint_id=path)
    if mine in state:
        torch.set_rng_state(state[mine])


def _state(parts: Parts) -> State:
    """The tensors themselves, by name: filling them fills the model."""
    state: State = {_random_name(): torch.get_rng_state()}
    name_of: dict[int, str] = {}
    for stage in parts.pipeline.stages:
        names = stage.names()
        state |= {f"model.{names[name]}": one for name, one in stage.state_dict().items()}
        name_of |= {id(one): names[name] for name, one in stage.named_parameters()}
    for parameter, kept in parts.optimizer.states():
        for what, value in kept.items():
            state[f"optimizer.{what}.{name_of[id(parameter)]}"] = value
    for stage, name, value in parts.average.named() if parts.average else ():
        state[f"average.{stage.names()[name]}"] = value
    return state


def _random_name() -> str:
    world = torch.distributed.get_world_size()
    return f"random.{torch.distributed.get_rank()} of {world}"


def _whole(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(one for one in folder.iterdir() if _FOLDER.fullmatch(one.name))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's notes about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
