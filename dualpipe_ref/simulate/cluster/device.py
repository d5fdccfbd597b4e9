"""What a GPU and its links can do, from data sheets and from what was measured of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

from dualpipe_ref.schedule.errors import InputError, require_int, shortened
from dualpipe_ref.simulate.costs import require_positive
from dualpipe_ref.simulate.waiting import HOPPER_SMS

H100_BF16 = 989.4  # TFLOP/s, dense: what rates measured on an H100 or H800 are scaled from
H100_FP8 = 1978.9
GB = 10**9


@dataclass(frozen=True)
class Device:
    """One GPU: TFLOP/s without sparsity, GB/s (memory: read and write together; links: one direction), GB of memory.

    `nvlink` is what is reached, not what is printed; `rdma` is the network card's nominal rate.

    >>> Device("my card", sms=132, bf16=989, fp8=1979, hbm=3350, memory=80, nvlink=160, rdma=50).gpus_per_node
    8
    """

    name: str
    sms: int
    bf16: float
    fp8: float
    hbm: float
    memory: float
    nvlink: float
    rdma: float
    gpus_per_node: int = 8

    def __post_init__(self) -> None:
        for name in ("sms", "gpus_per_node"):
            require_int(name, getattr(self, name), 1)
        for name in ("bf16", "fp8", "hbm", "memory", "nvlink", "rdma"):
            require_positive(name, getattr(self, name))

    @property
    def bytes(self) -> int:
        """Of memory."""
        return round(self.memory * GB)

    def peak(self, precision: str) -> float:
        """TFLOP/s."""
        return self.fp8 if precision == "fp8" else self.bf16


# Data sheets; links as published measurements have them: H800 160 of 200 (V3 report), H100 and H200 320 of 450 (UCCL), B200
# 726 of 900 (DeepEP V2). Memory in GB of 10**9 bytes as the driver reports it: a card of "80 GB" has 81,559 MiB.
DEVICES = {
    device.name: device
    for device in (
        Device("H800", HOPPER_SMS, H100_BF16, H100_FP8, 3350, 85.5, 160, 50),
        Device("H100", HOPPER_SMS, H100_BF16, H100_FP8, 3350, 85.5, 320, 50),
        Device("H200", HOPPER_SMS, H100_BF16, H100_FP8, 4800, 150.7, 320, 50),
        Device("B200", 148, 2250, 4500, 8000, 192.2, 726, 50),
    )
}


def find_device(name: str) -> Device:
    """A device by its name, or from a JSON file with the fields of `Device`.

    >>> find_device("H80")
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: a device is one of H800, H100, H200, B200, or a JSON file; got 'H80'; nearest legal: 'H800'
    """
    if name in DEVICES:
        return DEVICES[name]
    if name.endswith(".json"):
        return _read(name)
    nearest = (get_close_matches(name.upper(), DEVICES, n=1, cutoff=0) or ["H800"])[0]
    raise InputError(
        f"a device is one of {', '.join(DEVICES)}, or a JSON file", shortened(name), repr(nearest)
    )


def _read(path: str) -> Device:
    names = [one.name for one in fields(Device)]
    example = json.dumps({"name": "my card", "sms": 132, "bf16": 989})[:-1] + ", ...}"
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("a device's file is JSON that can be read", f"{path}: {error}") from None
    if not isinstance(data, dict) or not set(data) <= set(names):
        raise InputError(
            f"a device's file has {', '.join(names)}", f"{path}: {shortened(data)}", example
        )
    missing = [name for name in names[:-1] if name not in data]
    if missing:
        raise InputError(
            f"a device's file has {', '.join(names)}", f"{path} without {missing[0]}", example
        )
    return Device(**data)
