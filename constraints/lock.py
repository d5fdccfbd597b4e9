"""Write the versions of the running environment to a constraints file (`make lock`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Tools that every environment brings itself, and what torch's build for one platform brings and pins.
SKIPPED = ("pip", "setuptools", "wheel", "triton", "nvidia-", "cuda-")
# What compiles kernels is pinned all the same: a newer NVVM writes PTX that an older driver refuses.
COMPILER = (
    "cuda-bindings",
    "cuda-core",
    "cuda-pathfinder",
    "cuda-toolkit",
    "nvidia-cuda-crt",
    "nvidia-cuda-nvcc",
    "nvidia-cuda-nvrtc",
    "nvidia-cuda-runtime",
    "nvidia-nvjitlink",
    "nvidia-nvvm",
)


def is_pinned(name: str) -> bool:
    """Whether a package of this name has a line in the file.

    >>> [is_pinned(name) for name in ("torch", "nvidia-nvvm", "nvidia-cublas", "pip")]
    [True, True, False, False]
    """
    return name in COMPILER or not name.startswith(SKIPPED)


def main(path: str) -> None:
    """Keep the file's head comment; replace the pins."""
    target = Path(path)
    head = [line for line in target.read_text().splitlines() if line.startswith("#")]
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    frozen = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    # A local build such as torch 2.13.0+cpu satisfies a pin to 2.13.0 everywhere.
    pins = [line.partition("+")[0] for line in frozen if "==" in line]
    kept = [pin for pin in pins if is_pinned(pin.partition("==")[0].lower())]
    target.write_text("\n".join([*head, *sorted(kept, key=str.lower), ""]))


if __name__ == "__main__":
    main(sys.argv[1])
