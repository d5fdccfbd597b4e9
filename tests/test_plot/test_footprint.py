"""Pictures of memory say what the footprint says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError, build, simulate
from dualpipe_ref.plot.footprint_data import GROUPS, groups_of
from dualpipe_ref.plot.live import answer
from dualpipe_ref.simulate.footprint import Level, footprint
from dualpipe_ref.simulate.fused_bytes import Deployment

pytest.importorskip("matplotlib")
from dualpipe_ref.plot import draw_footprint


@given(st.dictionaries(st.sampled_from([*GROUPS, "norms", "messages"]), st.integers(0, 10**12)))
def test_groups_hold_every_byte(kinds: dict[str, int]) -> None:
    assert sum(groups_of(Level(0, kinds)).values()) == sum(kinds.values())


@settings(max_examples=6, deadline=None)
@given(st.sampled_from(["1f1b", "dualpipe", "zb-h1"]), st.sampled_from(["light", "dark", "print"]))
def test_bars_are_as_high_as_the_peaks(kind: str, theme: str) -> None:
    schedule = build(kind, 4, 8)
    found = footprint(simulate(schedule), Deployment().stages(schedule.placement))
    (axes,) = draw_footprint({kind: found}, theme=theme).axes  # type: ignore[arg-type]
    for rank, peak in enumerate(found.peaks):
        heights = [bar.get_height() for bar in axes.patches[rank :: len(found.peaks)]]
        assert sum(heights) == pytest.approx(peak.total / 1e9)


def test_the_view_says_what_does_not_fit() -> None:
    assert answer("footprint", {"device": 80})["sentence"].endswith("which fits.")
    told = answer("footprint", {"device": 70})
    assert told["sentence"].endswith("which does not fit.")
    bars = {bar["label"]: sum(part["value"] for part in bar["parts"]) for bar in told["bars"]}
    assert bars.pop("a device") == 70
    assert all(f": {height:.1f} GB" in label for label, height in bars.items())


@pytest.mark.parametrize(
    ("state", "nearest"),
    [({"device": 0}, "device = 80"), ({"ranks": 32, "microbatches": 64}, "P = 16")],
)
def test_states_without_an_answer(state: dict[str, int], nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        answer("footprint", state)
    assert caught.value.nearest == nearest
