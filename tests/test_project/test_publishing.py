"""What publishes the book: the workflows name targets that exist, and Binder's environment fits its 2 GB."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from .files import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def workflow_faults(text: str, root: Path = ROOT) -> list[str]:
    """Commands of a workflow that this project does not have, and jobs without a time limit."""
    targets = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(), flags=re.MULTILINE))
    found = []
    for name, job in yaml.safe_load(text)["jobs"].items():
        steps = job["steps"]
        if any("run" in step for step in steps) and "timeout-minutes" not in job:
            found.append(f"{name}: no timeout-minutes")
        for command in (step["run"] for step in steps if "run" in step):
            program, *words = command.split()
            if program == "make" and words[0] not in targets:
                found.append(f"{name}: no target {words[0]}")
            if program.startswith(".ci/") and not (root / program).is_file():
                found.append(f"{name}: no {program}")
    return found


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_what_is_there(workflow: Path) -> None:
    assert workflow_faults(workflow.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("make test-all", "make everything", "no target everything"),
        ("    timeout-minutes: 120\n", "", "no timeout-minutes"),
    ],
)
def test_a_planted_fault_is_named(old: str, new: str, fault: str) -> None:
    text = (ROOT / ".github/workflows/nightly.yml").read_text()
    assert old in text
    assert any(fault in found for found in workflow_faults(text.replace(old, new)))


def test_the_published_site_is_what_was_tested() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())["jobs"]
    steps = jobs["check"]["steps"]
    tested = [place for place, step in enumerate(steps) if step.get("run") == ".ci/run"]
    (uploaded,) = [
        place for place, step in enumerate(steps) if "upload-pages" in step.get("uses", "")
    ]
    assert tested
    assert tested[-1] < uploaded
    assert steps[uploaded]["with"]["path"] == "_build/html"
    assert jobs["publish"]["needs"] == "check"


def test_the_nightly_run_takes_the_newest_versions_on_every_supported_python() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())["jobs"]["newest"]
    makes = [step["run"] for step in job["steps"] if step.get("run", "").startswith("make")]
    assert makes
    assert all("LOCK=/dev/null" in command for command in makes)
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_binder_installs_what_the_notebooks_need_and_no_torch() -> None:
    wanted = yaml.safe_load((ROOT / ".binder/environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in wanted if isinstance(entry, dict)]
    names = {line for line in pip if not line.startswith("-")}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert {Requirement(line).name for line in extras["plot"]} <= names
    assert "torch" not in names
    (lock,) = [line.split()[1] for line in pip if line.startswith("-c")]
    assert (ROOT / ".binder" / lock).is_file()
