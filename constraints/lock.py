"""Write the versions of the running environment to a constraints file (`make lock`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Tools that every environment brings itself, and what only one platform has.
SKIPPED = ("pip", "setuptools", "wheel", "triton", "nvidia-", "cuda-")


def main(path: str) -> None:
    """Keep the file's head comment; replace the pins."""
    target = Path(path)
    head = [line for line in target.read_text().splitlines() if line.startswith("#")]
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    frozen = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    # A local build such as torch 2.13.0+cpu satisfies a pin to 2.13.0 everywhere.
    pins = [line.partition("+")[0] for line in frozen if "==" in line]
    kept = [pin for pin in pins if not pin.startswith(SKIPPED)]
    target.write_text("\n".join([*head, *sorted(kept, key=str.lower), ""]))


if __name__ == "__main__":
    main(sys.argv[1])
