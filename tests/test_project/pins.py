"""What the extras ask for, and what the constraints files pin."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from runpy import run_path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .files import ROOT

# The extras that each constraints file serves.
SERVED = {
    "book.txt": ("plot", "train", "search", "book", "dev"),
    "gpu.txt": ("gpu", "train"),
    "nvshmem.txt": ("nvshmem",),
}
# Which packages get a pin is what the program says that writes the file.
LOCK = run_path(str(ROOT / "constraints" / "lock.py"))


def direct_dependencies(pyproject: Path, extra: str) -> list[Requirement]:
    """What an extra names, with the extras of our own that it includes."""
    project = tomllib.loads(pyproject.read_text())["project"]
    found = [Requirement(line) for line in project["dependencies"]]
    for line in project["optional-dependencies"][extra]:
        requirement = Requirement(line)
        if requirement.name != project["name"]:
            found.append(requirement)
            continue
        for inner in sorted(requirement.extras):
            found += direct_dependencies(pyproject, inner)
    return found


def pinned(constraints: Path) -> dict[str, Requirement]:
    """The lines of a constraints file by name."""
    lines = [line.partition("#")[0].strip() for line in constraints.read_text().splitlines()]
    requirements = [Requirement(line) for line in lines if line]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pin_faults(pyproject: Path, constraints: Path, extras: tuple[str, ...]) -> list[str]:
    """Dependencies without a pin, pins that an extra forbids, and lines that pin nothing."""
    pins = pinned(constraints)
    found = [
        f"{constraints.name}: {pin} is not an exact version"
        for pin in pins.values()
        if [part.operator for part in pin.specifier] != ["=="] or "*" in str(pin.specifier)
    ]
    for extra in extras:
        for wanted in direct_dependencies(pyproject, extra):
            pin = pins.get(canonicalize_name(wanted.name))
            if pin is None:
                found.append(f"{constraints.name}: no pin for {wanted.name}, wanted by [{extra}]")
            elif not all(wanted.specifier.contains(part.version) for part in pin.specifier):
                found.append(f"{constraints.name}: {pin} is not what [{extra}] wants: {wanted}")
    return found


def missing_from_lock(pyproject: Path, constraints: Path, extras: tuple[str, ...]) -> list[str]:
    """What the extras bring in here, directly or not, and the file does not pin."""
    pins = pinned(constraints)
    waiting = [wanted for extra in extras for wanted in direct_dependencies(pyproject, extra)]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        key = f"{canonicalize_name(wanted.name)}{sorted(wanted.extras)}"
        if key not in seen:
            seen.add(key)
            waiting += _requires(wanted)
    names = {key.partition("[")[0] for key in seen}
    return sorted(name for name in names - set(pins) if LOCK["is_pinned"](name))


def _requires(wanted: Requirement) -> list[Requirement]:
    """What the installed version of a package needs on this machine, with the extras asked for."""
    try:
        lines = requires(wanted.name) or []
    except PackageNotFoundError:
        return []
    needed = [Requirement(line) for line in lines]
    extras = ("", *wanted.extras)
    return [
        inner
        for inner in needed
        if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in extras)
    ]
