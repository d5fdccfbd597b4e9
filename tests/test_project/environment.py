"""What environment.yml asks of conda and of pip."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet


def environment_faults(root: Path) -> list[str]:
    """What would keep `conda env create` from working on a checkout, as sentences."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    conda = [entry for entry in wanted if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in wanted if isinstance(entry, dict)]
    found = [
        f"conda is asked for {name}" for name in conda if not re.match(r"(python=|pip$)", name)
    ]
    (version,) = [name.partition("=")[2] for name in conda if name.startswith("python=")]
    if not SpecifierSet(project["requires-python"]).contains(version):
        found.append(f"python={version}, but the package needs {project['requires-python']}")
    for line in pip:
        found += _pip_faults(line, root, set(project["optional-dependencies"]))
    return found


def _pip_faults(line: str, root: Path, extras: set[str]) -> list[str]:
    option, _, value = line.partition(" ")
    if option in ("-c", "-r"):
        return [] if (root / value).is_file() else [f"{line}: no such file"]
    if option != "-e":
        return [f"{line}: the extras of the package name what is needed"]
    path, _, _ = value.partition("[")
    unknown = Requirement(f"package{value.removeprefix(path)}").extras - extras
    return [f"{line}: no extra {name}" for name in sorted(unknown)]
