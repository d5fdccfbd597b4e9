"""Keep n SMs for communication and leave the rest to computation, and say what the driver really gave."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple

from dualpipe_ref.hopper.driver import IGNORE_SM_COSCHEDULING, Driver, DriverError, SmResource
from dualpipe_ref.hopper.ways import GREEN, OWNED, PLAIN, require_way
from dualpipe_ref.schedule.errors import InputError, require_int

# Lower numbers go first; -1 is above the usual 0 on every GPU.
FIRST, USUAL = -1, 0


class Half(NamedTuple):
    """One part of a reservation: the address of its stream, its SMs, and whether its blocks must own theirs by shared memory."""

    stream: int
    sms: int
    owns_sm: bool = False

    def torch(self) -> Any:
        """The stream for `torch.cuda.stream(...)` and for launches of this package's kernels."""
        import torch

        return torch.cuda.ExternalStream(self.stream)

    def numba(self) -> Any:
        """The stream for `kernel[grid, block, stream]` of Numba."""
        from numba import cuda

        return cuda.external_stream(self.stream)


class Given(NamedTuple):
    """What was asked and what was given: SMs of communication, of computation (`rest`), and the driver's rule."""

    way: str
    asked: int
    given: int
    rest: int
    minimum: int
    alignment: int

    def __str__(self) -> str:
        """In words.

        >>> print(Given("green contexts", 20, 24, 108, 8, 8))
        green contexts: asked for 20 SMs, got 24, 108 are left (at least 8, in multiples of 8)
        """
        rule = f" (at least {self.minimum}, in multiples of {self.alignment})"
        return f"{self.way}: asked for {self.asked} SMs, got {self.given}, {self.rest} are left" + (
            rule if self.way == GREEN else ""
        )


class Reservation:
    """Two halves of a GPU, until `close` or the end of a `with`: `communication`, `compute`, and what was `given`."""

    def __init__(
        self, driver: Driver, given: Given, communication: Half, compute: Half, contexts: Any
    ) -> None:
        self.driver, self.given = driver, given
        self.communication, self.compute = communication, compute
        self._contexts: list[tuple[Any, int]] = contexts

    def close(self) -> None:
        """Give back streams and contexts. What was launched on them has ended before."""
        while self._contexts:
            self.driver.destroy(*self._contexts.pop())

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def reserve(driver: Driver, sms: int, way: str = GREEN, *, exact: bool = True) -> Reservation:
    """Reserve `sms` SMs for communication, in one of the `ways`.

    Green contexts come of one split, whose two halves are disjoint; not `exact`, SMs are given as the hardware groups them
    (on Hopper in eights), else one by one where the driver can, at the price of large clusters. A half may still have
    more SMs than asked for: `given` says how many. Owned shared memory reserves nothing by itself: the communication's
    blocks, one an SM and launched first, keep all others off. Plain streams reserve nothing at all.

    Raises `InputError` for numbers that cannot be and for a way that this GPU lacks, `DriverError` for what the driver
    refuses.

    >>> from dualpipe_ref.hopper.emulated_driver import EmulatedDriver
    >>> with reserve(EmulatedDriver(), 20) as exact, reserve(EmulatedDriver(), 20, exact=False) as grouped:
    ...     print(exact.given.given, exact.given.rest, grouped.given.given, grouped.given.rest)
    20 112 24 108
    """
    require_way(driver.gpu, way)
    _check(driver, sms)
    made = _green(driver, sms, exact) if way == GREEN else _streams(driver, sms, way)
    if not driver.primary_is_current():
        made.close()
        raise DriverError("cuCtxGetCurrent", "CUDA_ERROR_INVALID_CONTEXT")
    return made


def nearest_split(sms: int, of: int, minimum: int, alignment: int) -> int:
    """What a GPU of `of` SMs gives for `sms`: the least legal number that is not less, but one that leaves SMs to others.

    >>> [nearest_split(one, of=132, minimum=8, alignment=8) for one in (1, 8, 20, 130)]
    [8, 8, 24, 128]
    """
    rounded = max(minimum, -(-sms // alignment) * alignment)
    return min(rounded, max(minimum, (of - 1) // alignment * alignment))


def _check(driver: Driver, sms: int) -> None:
    require_int("sms", sms, 1)
    if sms >= driver.gpu.sms:
        raise InputError(
            "a reservation leaves SMs to computation",
            f"{sms} of {driver.gpu.sms} SMs",
            f"{driver.gpu.sms - 1} SMs",
        )


def _green(driver: Driver, sms: int, exact: bool) -> Reservation:
    whole = driver.sms()
    if not exact:
        _check_grouped(whole, sms)
    flags = IGNORE_SM_COSCHEDULING if exact else 0
    halves = driver.split(whole, sms, flags)
    if not halves[1].sms:
        raise InputError(
            "a reservation leaves SMs to computation",
            f"{sms} SMs, for which the driver gives all {whole.sms}",
            f"{sms - 1} SMs",
        )
    made: list[tuple[Any, int]] = []
    try:
        granted = []
        for half, priority in zip(halves, (FIRST, USUAL), strict=True):
            context = driver.green_context(half)
            granted.append(driver.granted(context))
            made.append((context, driver.stream(context, priority)))
    except Exception:
        for context, stream in reversed(made):
            driver.destroy(context, stream)
        raise
    given = Given(GREEN, sms, granted[0], granted[1], whole.minimum, whole.alignment)
    (_, first), (_, second) = made
    return Reservation(driver, given, Half(first, granted[0]), Half(second, granted[1]), made)


def _check_grouped(whole: SmResource, sms: int) -> None:
    given = nearest_split(sms, whole.sms, whole.minimum, whole.alignment)
    if given < sms:
        raise InputError(
            f"SMs are split off in multiples of {whole.alignment}, and some are left",
            f"{sms} of {whole.sms} SMs",
            f"{given} SMs",
        )


def _streams(driver: Driver, sms: int, way: str) -> Reservation:
    first, second = driver.stream(None, FIRST), driver.stream(None, USUAL)
    owned = way == OWNED
    rest = driver.gpu.sms - sms if owned else driver.gpu.sms
    return Reservation(
        driver,
        Given(way, sms, sms, rest, 1, 1),
        Half(first, sms, owns_sm=owned),
        Half(second, rest),
        [(None, first), (None, second)],
    )


__all__ = ["GREEN", "OWNED", "PLAIN", "Given", "Half", "Reservation", "nearest_split", "reserve"]
