"""What the extras ask for, and what the constraints files pin."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# The extras that each constraints file serves.
SERVED = {
    "book.txt": ("plot", "train", "book", "dev"),
    "gpu.txt": ("gpu", "train"),
    "nvshmem.txt": ("gpu",),
}


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
