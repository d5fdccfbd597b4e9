"""Pausing the garbage collector leaves it as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from dualpipe_ref.schedule import collection
from dualpipe_ref.schedule.collection import collection_paused


@pytest.fixture(autouse=True)
def collector_as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_it_pauses_and_goes_on() -> None:
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(KeyError), collection_paused():
        raise KeyError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with collection_paused():
        pass
    assert not gc.isenabled()


def test_a_large_crop_counts_as_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "MANY", 1000)
    with collection_paused():
        crop = [[place] for place in range(5000)]
    assert gc.get_freeze_count() == 0
    old = {id(item) for item in gc.get_objects(generation=2)}
    assert id(crop[0]) in old


def test_objects_that_the_caller_froze_stay_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "MANY", 1000)
    gc.freeze()
    with collection_paused():
        crop = [[place] for place in range(5000)]
    assert crop
    assert gc.get_freeze_count() > 0


def test_cycles_are_still_collected() -> None:
    with collection_paused():
        ring: list[object] = []
        ring.append(ring)
        del ring
    assert gc.collect() >= 1
