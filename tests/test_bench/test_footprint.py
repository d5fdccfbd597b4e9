"""The memory bench on small cases: predictions hold there, too, and one that forgets a kind does not."""

from __future__ import annotations

import dataclasses

import pytest

from dualpipe_ref.bench import footprint
from dualpipe_ref.bench.peers import Case
from dualpipe_ref.simulate import chunk_bytes

SIZES = {
    "vocabulary": 64,
    "hidden": 48,
    "layers": 4,
    "heads": 2,
    "head_dim": 24,
    "rotary_dim": 8,
    "query_latent": 32,
    "key_value_latent": 24,
    "experts": 4,
    "expert_hidden": 40,
}
CASES = [
    Case(kind, 2, 4, 96, SIZES | {"recompute": policy})
    for kind, policy in (
        ("1f1b", "none"),
        ("zb-h1", "norms"),
        ("dualpipe", "full"),
        ("zb-v", "none"),
    )
]


@pytest.fixture(scope="module")
def found() -> list[list[dict[str, int]]]:
    return footprint.measured(CASES)


def off(case: Case, ranks: list[dict[str, int]]) -> list[float]:
    peaks = footprint.predicted(case).peaks
    return [one["peak"] / peak.total - 1 for one, peak in zip(ranks, peaks, strict=True)]


def test_predictions_are_near(found: list[list[dict[str, int]]]) -> None:
    for case, ranks in zip(CASES, found, strict=True):
        assert max(map(abs, off(case, ranks))) < 0.06, case.kind


def test_nothing_is_left_to_the_collector(found: list[list[dict[str, int]]]) -> None:
    for ranks in found:
        assert [one["left"].get("activations", 0) for one in ranks] == [0, 0]  # type: ignore[attr-defined]


def test_a_kind_that_is_forgotten_is_seen(
    found: list[list[dict[str, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = chunk_bytes._eager_layer

    def without(*of: object, **options: bool) -> chunk_bytes.Kinds:
        kinds = right(*of, **options)  # type: ignore[arg-type]
        del kinds["probabilities"]
        return kinds

    monkeypatch.setattr(chunk_bytes, "_eager_layer", without)
    assert max(map(abs, off(CASES[0], found[0]))) > 0.08


def test_rows_name_what_they_are(
    found: list[list[dict[str, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "measured", lambda chosen: found)
    names = {row.bench: row for row in footprint.rows(CASES)}
    assert names["memory.1f1b_p2_none_off"].target == "<= 0.05"
    assert names["memory.dualpipe_p2_full_measured"].value > 0


def test_cases_have_layers_for_every_stage() -> None:
    for ranks in (2, 4):
        for case in footprint.cases(ranks):
            assert case.config().layers >= case.schedule().placement.stages
            assert dataclasses.asdict(case)["model"]["recompute"] in chunk_bytes.POLICIES
