"""Settings: what fits together, what is refused with the nearest legal value, and options that give them."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.model import ModelConfig
from dualpipe_ref.schedule import KINDS
from dualpipe_ref.train.options import add_train_options, settings_from
from dualpipe_ref.train.settings import TrainSettings
from tests.test_project.files import ROOT


def parsed(*words: str) -> TrainSettings:
    parser = argparse.ArgumentParser()
    add_train_options(parser)
    return settings_from(parser.parse_args(words))


@given(
    st.sampled_from(KINDS),
    st.sampled_from([2, 4]),
    st.sampled_from([8, 12]),
    st.integers(0, 5),
    st.floats(1e-6, 1.0),
    st.one_of(st.none(), st.floats(0.1, 9.0)),
    st.booleans(),
)
def test_json_keeps_everything(
    kind: str, ranks: int, microbatches: int, seed: int, rate: float, clip: float | None, more: bool
) -> None:
    settings = TrainSettings(
        schedule=kind,
        pipeline_ranks=ranks,
        microbatches=microbatches,
        seed=seed,
        learning_rate=rate,
        last_learning_rate=rate / 3,
        clip=clip,
        checkpoint="folder" if more else None,
        resume=more,
        model=ModelConfig(layers=8, hidden=64),
    )
    assert TrainSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@given(st.integers(1, 300), st.integers(0, 50))
def test_the_learning_rate_rises_and_falls(steps: int, warmup: int) -> None:
    assume(warmup < steps)
    settings = TrainSettings(
        steps=steps, warmup=warmup, learning_rate=2.0, last_learning_rate=0.5, pipeline_ranks=2
    )
    rates = [settings.learning_rate_at(step) for step in range(steps)]
    rising, falling = rates[:warmup], rates[max(0, warmup - 1) :]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert all(0 < rate <= 2.0 for rate in rates)
    assert math.isclose(rates[-1], 0.5)
    assert settings.learning_rate_at(steps + 10) == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "dualpip"}, "nearest legal: 'dualpipe'"),
        ({"microbatches": 7}, "nearest legal: m = 8"),
        ({"pipeline_ranks": 3}, "nearest legal: P = 4"),
        ({"pipeline_ranks": 0}, "nearest legal: pipeline_ranks = 1"),
        ({"schedule": "zb-v"}, "nearest legal: layers = 8"),
        ({"schedule": "gpipe", "chunks": 2}, "nearest legal: chunks = 1"),
        ({"expert_ranks": 3}, "nearest legal: experts = 9"),
        ({"sequences": 0}, "nearest legal: sequences = 1"),
        ({"tokens": 4096}, "nearest legal: tokens = 4095"),
        ({"steps": 1.5}, "nearest legal: steps = 2"),
        ({"steps": True}, "steps must be an int"),
        ({"learning_rate": 0}, "learning_rate is a finite number above 0"),
        ({"learning_rate": math.nan}, "nearest legal: learning_rate = 0.0"),
        ({"learning_rate": 1e-4}, "nearest legal: last_learning_rate = 0.0001"),
        ({"weight_decay": -1}, "nearest legal: weight_decay = 0"),
        ({"bias_speed": "fast"}, "bias_speed = 'fast'"),
        ({"clip": 0.0}, "clip is a finite number above 0"),
        ({"betas": (0.9,)}, "betas are two numbers"),
        ({"betas": (0.9, 1.0)}, "betas are below 1"),
        ({"seed": -1}, "nearest legal: seed = 0"),
        ({"data": ""}, "data is a path"),
        ({"checkpoint": 7}, "checkpoint is a path"),
        ({"resume": True}, "resume without checkpoint"),
        ({"resume": "yes"}, "resume is true or false"),
        ({"model": 3}, "model is a ModelConfig"),
        ({"model": ModelConfig(vocabulary=255)}, "nearest legal: vocabulary = 256"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TrainSettings(), **changes)


@pytest.mark.parametrize(
    "plain", [{"stepz": 3}, {"model": {"depth": 3}}, {"model": 3}, {"betas": "ab"}, [], None, 7]
)
def test_what_is_no_settings_is_refused(plain: Any) -> None:
    with pytest.raises(InputError):
        TrainSettings.from_dict(plain)


def test_options_that_are_not_given_keep_the_defaults() -> None:
    assert parsed() == TrainSettings()


def test_every_setting_has_an_option_but_for_those_of_experts() -> None:
    """Whoever adds a setting is reminded to say how it is given."""
    given = parsed(
        *[
            "--schedule",
            "dualpipev",
            "--nproc",
            "8",
            "--ep",
            "2",
            "--dp",
            "2",
            "--microbatches",
            "6",
            "--sequences",
            "3",
            "--tokens",
            "32",
        ],
        *[
            "--steps",
            "9",
            "--learning-rate",
            "0.5",
            "--warmup",
            "3",
            "--weight-decay",
            "0",
            "--clip",
            "2",
            "--bias-speed",
            "0.01",
        ],
        *[
            "--seed",
            "5",
            "--evaluate-every",
            "4",
            "--data",
            "a.txt",
            "--checkpoint",
            "b",
            "--checkpoint-every",
            "7",
            "--resume",
        ],
        *["--ema", "0.9", "--moments", "bf16", "--chunks", "2", "--hidden", "64", "--experts", "4"],
    )
    changed = {one.name for one in fields(given) if getattr(given, one.name) != one.default}
    assert {one.name for one in fields(given)} - changed == {"betas", "last_learning_rate"}
    assert (given.processes, given.pipeline_ranks) == (8, 2)
    assert (given.model.layers, given.model.hidden, given.model.experts) == (4, 64, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_schedule_runs_with_the_defaults(kind: str) -> None:
    settings = parsed("--schedule", kind)
    assert settings.model.layers == max(4, settings.placement.stages)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--nproc 5 --ep 2", "nearest legal: --nproc 4"),
        ("--nproc 1", "nearest legal: --nproc 2"),
        ("--ep 0", "--ep must be an int of at least 1"),
        ("--layers 3", "nearest legal: layers = 4"),
        ("--schedule dualpype", "nearest legal: 'dualpipe'"),
    ],
)
def test_options_that_do_not_fit_are_refused(words: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parsed(*words.split())


def test_torchrun_says_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "x",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert parsed().pipeline_ranks == 2


def test_options_are_added_without_torch() -> None:
    code = (
        "import argparse, sys\n"
        "from dualpipe_ref.train.options import add_train_options\n"
        "import dualpipe_ref.train.settings, dualpipe_ref.train.launch, dualpipe_ref.train.metrics\n"
        "import dualpipe_ref.train.guard, dualpipe_ref.train.text\n"
        "add_train_options(argparse.ArgumentParser())\n"
        "print(sorted({'torch', 'numpy', 'tqdm'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
