"""What this machine can run, tier by tier, and how to get the next tier."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

# Wheels of the CUDA toolkit that turn a kernel into machine code; no GPU is needed for that.
_COMPILER = ["nvidia-nvvm", "nvidia-cuda-nvrtc", "nvidia-cuda-nvcc"]


class Tier(NamedTuple):
    """One tier: what it lets you do, whether this machine has it, what was found, how to get it."""

    name: str
    enables: str
    ready: bool
    found: str
    how: str


def examine() -> list[Tier]:
    """Look at every tier without importing anything heavy.

    >>> [tier.name for tier in examine()]
    ['browser', 'core', 'plot', 'book', 'CPU', 'kernels', 'one GPU', 'cluster']
    >>> examine()[1].ready
    True
    """
    tiers: list[Callable[[], Tier]] = [
        _browser,
        _core,
        _plot,
        _book,
        _cpu,
        _kernels,
        _one_gpu,
        _cluster,
    ]
    return [examine_tier() for examine_tier in tiers]


def as_text(tiers: list[Tier]) -> str:
    """A block a tier; the way to the next tier only where it is missing."""
    lines = []
    for tier in tiers:
        lines.append(f"[{'yes' if tier.ready else 'no '}] {tier.name}: {tier.enables}")
        lines.append(f"      found: {tier.found}")
        if not tier.ready:
            lines.append(f"      to get it: {tier.how}")
    return "\n".join(lines)


def _browser() -> Tier:
    return Tier(
        "browser",
        "read the book, move its figures, run its cells, be graded",
        True,
        "nothing is needed on this machine but a browser",
        "",
    )


def _core() -> Tier:
    found = f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores"
    return Tier(
        "core",
        "make, verify, simulate and compare schedules; write traces for Perfetto",
        sys.version_info >= (3, 11),
        found,
        "Python 3.11 or newer",
    )


def _plot() -> Tier:
    return _packages("plot", "draw timelines", ["matplotlib"], "plot")


def _book() -> Tier:
    return _packages("book", "build the book", ["jupyter-book", "matplotlib", "jupytext"], "book")


def _cpu() -> Tier:
    return _packages(
        "CPU",
        "compare with torch.distributed.pipelining, run all tests",
        ["torch", "numpy"],
        "train",
    )


def _kernels() -> Tier:
    """Packages that only compile are asked for as well: their wheels hold the compiler and the assembler."""
    packages = ["torch", "numba", "numba-cuda", "greenlet", *_COMPILER]
    return _packages(
        "kernels",
        "run the kernels of dispatch and combine in the emulator, compile and assemble them for Hopper",
        packages,
        "train,kernels",
    )


def _one_gpu() -> Tier:
    gpus = _gpus()
    missing = _missing(["numba", "numba-cuda", "torch"])
    hopper = any(capability.startswith("9.") for _, capability in gpus)
    found = [f"{name} (compute capability {capability})" for name, capability in gpus] or [
        "no NVIDIA GPU"
    ]
    found.append(f"missing {', '.join(missing)}" if missing else _versions(["numba", "numba-cuda"]))
    found += _torch_without_cuda() if gpus else []
    if gpus and not hopper:
        found.append("not Hopper: reserving SMs will differ from the book's numbers")
    return Tier(
        "one GPU",
        "run the kernels on a GPU, measure them and their overlap with computation",
        bool(gpus) and not missing and not _torch_without_cuda(),
        "; ".join(found),
        "a machine with an NVIDIA GPU (Hopper for the book's numbers) and "
        "pip install -e '.[gpu,train]' -c constraints/gpu.txt",
    )


def _torch_without_cuda() -> list[str]:
    """What to say of a torch that was built for CPUs only; its version tells, without importing it."""
    built = _version("torch") or ""
    return [f"torch {built} was built without CUDA"] if built.endswith("+cpu") else []


def _cluster() -> Tier:
    gpus, missing = len(_gpus()), _missing(["nvshmem4py-cu13", "cffi"])
    infiniband = os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband")
    found = f"{gpus} GPUs, {'RDMA devices' if infiniband else 'no RDMA device'}"
    return Tier(
        "cluster",
        "what later chapters will measure: sends between nodes",
        gpus > 1 and bool(infiniband) and not missing,
        found + (f"; missing {', '.join(missing)}" if missing else ""),
        "two nodes with several GPUs each and InfiniBand, and "
        "pip install -e '.[nvshmem]' -c constraints/nvshmem.txt",
    )


def _packages(name: str, enables: str, packages: list[str], extra: str) -> Tier:
    missing = _missing(packages)
    found = f"missing {', '.join(missing)}" if missing else _versions(packages)
    return Tier(
        name,
        enables,
        not missing,
        found,
        f"in a clone: pip install -e '.[{extra}]' -c constraints/book.txt",
    )


def _missing(packages: list[str]) -> list[str]:
    return [package for package in packages if _version(package) is None]


def _versions(packages: list[str]) -> str:
    return ", ".join(f"{package} {_version(package)}" for package in packages)


def _version(package: str) -> str | None:
    """The installed version; packages that a hosted runtime put there without metadata count too."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version" if importlib.util.find_spec(package.replace("-", "_")) else None


def _gpus() -> list[tuple[str, str]]:
    """(name, compute capability) of each NVIDIA GPU, as the driver's own tool tells it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.rpartition(",") for line in answer.stdout.splitlines() if "," in line]
    return [(name.strip(), capability.strip()) for name, _, capability in rows]
