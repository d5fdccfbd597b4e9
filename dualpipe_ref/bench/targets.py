"""Every target of the benches, in one place: benches ask here for their limits, the status page for what was measured last.

Standard library only; results are read from book/results, never typed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref.bench.results import meets
from dualpipe_ref.plot.measured import RESULTS, Results, results
from dualpipe_ref.schedule.errors import InputError

MISSED, MET, NOT_MEASURED = "missed", "met", "not measured"


class Target(NamedTuple):
    """What should be reached. `rows` is a pattern of the names of a bench's rows, that of the file first.

    `limit` is such as "<= 0.02"; None where the bench computes it (`own` says how) and writes it beside the value.
    """

    name: str
    rows: str
    limit: str | None
    tier: str
    unmeasured: str = ""
    own: str = ""

    @property
    def file(self) -> str:
        """The results file without its suffix."""
        return self.rows.partition(r"\.")[0]


_GPU = "one GPU (Hopper)"
_NO_GPU = "no results file from a GPU yet: `dualpipe-ref bench hopper` would write it"
TARGETS = (
    Target("making a schedule, verified and simulated, beside torch's construction, times as fast",
           r"schedule\.ratio_to_torch", ">= 10", "CPU"),
    Target("growth of that time with the number of ops, exponent",
           r"schedule\.growth_exponent", "<= 1.1", "CPU"),
    Target("memory of 64 ranks and 4,096 micro-batches, GB",
           r"schedule\.dualpipe_large_memory(_verified_simulated)?", "<= 2", "CPU"),
    Target("processes that hold their ranks: step off the simulated one, share",
           r"trace\.timed_p\d+_.*(?<!_recording)", "<= 0.02", "CPU"),
    Target("recording a run, share of its step",
           r"trace\.timed_p\d+_.*_recording", "<= 0.02", "CPU"),
    Target("training: held-out steps off their prediction, share",
           r"trace\.trained_p\d+_[\w-]+(?<!_makespan)(?<!_steady)", "<= 0.05", "CPU"),
    Target("peak bytes of a rank off the model, share of the peak",
           r"memory\..*_off", "<= 0.05", "CPU"),
    Target("a step of two processes beside torch.distributed.pipelining, ours / torch",
           r"step\..*_p2_seconds_ratio", "<= 1.0", "CPU"),
    Target("a split backward beside torch's halves, ours / torch",
           r"split\.(?!.*_whole_ratio$).*_ratio", "<= 1.0", "CPU"),
    Target("training on four processes, minutes in all",
           r"train\.minutes", "<= 10", "CPU"),
    Target("held-out loss of that run, nats a byte",
           r"train\.held_out_loss", "<= 2.0", "CPU"),
    Target("exchanges that stay exposed with overlap, share",
           r"overlap\.exposed with overlap", None, "CPU, two network namespaces",
           own="at most two points above the lower bound of the lanes"),
    Target("exchanges that stay exposed without, share",
           r"overlap\.exposed without", ">= 0.8", "CPU, two network namespaces"),
    Target("the overlapped step off its prediction, share",
           r"overlap\.the step is off the prediction by", "<= 0.05", "CPU, two network namespaces"),
    Target("planning a step of 2,048 GPUs, seconds", r"plan\.seconds_2048", "<= 5", "CPU"),
    Target("planning a step of 102,400 GPUs, seconds", r"plan\.seconds_102400", "<= 30", "CPU"),
    Target("published training runs, predicted: off by, share",
           r"plan\.(?!zero_bubble_|pair_).*_off", "<= 0.1", "browser, a model"),
    Target("published bubble rates and speed-ups of zero-bubble schedules, predicted: off by, share",
           r"plan\.zero_bubble_.*_off", "<= 0.05", "browser, a model"),
    Target("registers of the kernels, as compiled",
           r"kernels\..*\.registers", None, "CPU, compiled for sm_90",
           "no results file yet: `dualpipe-ref bench kernels` writes it", "what lets a block's threads be resident"),
    Target("registers that the kernels spill, bytes",
           r"kernels\..*\.spills", "<= 0", "CPU, compiled for sm_90",
           "no results file yet: `dualpipe-ref bench kernels` writes it"),
    Target("direct slots beside a plain copy with the same SMs and bytes, of its rate",
           r"hopper\.direct_\d+x\d+_(dispatch|combine)_total", ">= 0.85", _GPU, _NO_GPU),
    Target("queues beside a plain copy with the same SMs and bytes, of its rate",
           r"hopper\.queues_\d+x\d+_(dispatch|combine)_total", ">= 0.7", _GPU, _NO_GPU),
    Target("communication exposed beside matrix products at 1:1 on 20 reserved SMs, share of its time",
           r"hopper\.overlap_\w+_20_sms_green_contexts_(dispatch|combine)_exposed", "<= 0.037", _GPU, _NO_GPU),
    Target("SMs that ran both halves of a reservation",
           r"hopper\.map_(?!plain)\w+_both", "<= 0", _GPU, _NO_GPU),
    Target("tiles of a matmul for each SM that computation has: below ten, their whole number shows",
           r"hopper\.matmul_waves_\d+_sms", ">= 10", _GPU, _NO_GPU),
    Target("a DualPipe step over the kernels beside its CPU run: losses and gradients off, share of what is allowed",
           r"hopper\.step_\w+_share", "<= 1", _GPU, _NO_GPU),
    Target("all tests and benches of one GPU, minutes",
           r"hopper\.minutes", "<= 8", _GPU, "no run of `make gpu` on a GPU is recorded"),
)  # fmt: skip


class Unmeasured(NamedTuple):
    """Something that is to be reported without a limit, and is not yet: listed until there is the results file."""

    name: str
    tier: str
    why: str
    file: str = "hopper"


_NOT_RUN = "no results file from such machines: not run by us"
UNMEASURED = (
    Unmeasured("the tax of 4 to 32 reserved SMs, beside 132/(132 - n)", _GPU, _NO_GPU),
    Unmeasured("overlap without reserved SMs, in two streams", _GPU, _NO_GPU),
    Unmeasured(
        "matmuls beside communication that reserves nothing and waits, as NCCL's kernels do",
        _GPU,
        _NO_GPU,
    ),
    Unmeasured("computation beside NCCL's own kernels", _GPU, _NOT_RUN, "nccl"),
    Unmeasured(
        "a forward and a backward chunk interleaved, beside their lower bound", _GPU, _NO_GPU
    ),
    Unmeasured("kernels by CUDA IPC between processes of one GPU", _GPU, _NOT_RUN, "ipc"),
    Unmeasured("kernels over NVSHMEM between nodes", "cluster", _NOT_RUN, "multinode"),
)
# Results files without a target, and why they have none.
NO_TARGET = {
    "hopper_maps": "a map of SMs: its targets are held against hopper.json",
    "protocol": "states and schedules are counted, not aimed at; times are for orientation",
    "search": "a proof or a gap for each problem; there is no speed to reach",
}


def target_of(row: str) -> Target | None:
    """The target that a row, named with its bench, is held against.

    >>> target_of("step.1f1b_p2_seconds_ratio").limit, target_of("step.1f1b_p4_seconds_ratio")
    ('<= 1.0', None)
    """
    return next((one for one in TARGETS if re.fullmatch(one.rows, row)), None)


def limit(row: str) -> str:
    """The limit of a row that has a fixed one.

    >>> limit("schedule.ratio_to_torch")
    '>= 10'
    """
    found = target_of(row)
    if found is None or found.limit is None:
        raise InputError("a row with a fixed target is in bench/targets.py", repr(row))
    return found.limit


def fixed_limit(row: str) -> str | None:
    """The same, or None for a row without a target, or whose bench computes it.

    >>> fixed_limit("hopper.map_green_contexts_both"), fixed_limit("hopper.map_plain_streams_both")
    ('<= 0', None)
    """
    found = target_of(row)
    return found.limit if found else None


class Standing(NamedTuple):
    """How a target stands: all rows that it judges, and the worst of them."""

    target: Target
    rows: Mapping[str, dict[str, Any]]

    @property
    def limit(self) -> str:
        """As fixed, or as the bench wrote it."""
        written = {str(row["target"]) for row in self.rows.values()}
        return self.target.limit or (written.pop() if len(written) == 1 else self.target.own)

    @property
    def missed(self) -> dict[str, dict[str, Any]]:
        """The rows beyond the limit."""
        return {
            name: row
            for name, row in self.rows.items()
            if not meets(row["value"], self.target.limit or row["target"])
        }

    @property
    def verdict(self) -> str:
        """One of "met", "missed", "not measured"."""
        if not self.rows:
            return NOT_MEASURED
        return MISSED if self.missed else MET

    @property
    def worst(self) -> tuple[str, dict[str, Any]] | None:
        """The row nearest to its limit, or furthest beyond it; None without rows."""
        if not self.rows:
            return None
        return max(self.rows.items(), key=lambda one: self._beyond(one[1]))

    def _beyond(self, row: Mapping[str, Any]) -> float:
        """How far a row is beyond its limit; negative on the right side of it."""
        sign, number = (self.target.limit or row["target"]).split()
        apart: float = row["value"] - float(number)
        return apart if sign == "<=" else -apart


def standings(folder: Path = RESULTS) -> list[Standing]:
    """All targets with the rows of the results files."""
    return [Standing(target, _rows(target, results(target.file, folder))) for target in TARGETS]


def _rows(target: Target, found: Results) -> dict[str, dict[str, Any]]:
    named = {f"{target.file}.{name}": row for name, row in found.items()}
    return {name: row for name, row in named.items() if re.fullmatch(target.rows, name)}


def unmeasured(folder: Path = RESULTS) -> list[Unmeasured]:
    """What has no limit and no results file.

    >>> len(unmeasured(Path("/nowhere"))) == len(UNMEASURED)
    True
    """
    return [one for one in UNMEASURED if not (folder / f"{one.file}.json").exists()]


def files_without_place(folder: Path = RESULTS) -> list[str]:
    """Results files that no target reads and no reason excuses."""
    known = {one.file for one in (*TARGETS, *UNMEASURED)} | set(NO_TARGET)
    return sorted(path.stem for path in folder.glob("*.json") if path.stem not in known)
