"""Channels between ranks that are threads: first in, first out, behind events on a GPU, and an end for all who wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref.comm.together import run_ranks
from dualpipe_ref.runtime import post as post_module
from dualpipe_ref.runtime.pipeline import processes_of
from dualpipe_ref.runtime.post import Post, Posted, PostedWires
from dualpipe_ref.runtime.trace import RunTrace
from dualpipe_ref.schedule import InputError, Message, build


def messages_of(kind: str, ranks: int) -> list[Message]:
    """All that rank 0 sends to rank 1, in its order."""
    schedule = build(kind, ranks, 2 * ranks)
    every = [one for group in schedule.batches[0] for sends, _ in group for one in sends]
    return [
        one
        for one in map(schedule.numbering.message, every)
        if (one.source, one.destination) == (0, 1)
    ]


@given(st.lists(st.integers(0, 2)), st.randoms(use_true_random=False))
def test_a_channel_is_first_in_first_out(targets: list[int], drawn: Any) -> None:
    post, left = Post(patience=0), {one: deque[int]() for one in range(3)}
    for number, target in enumerate(targets):
        post.put(7, target, number)
        left[target].append(number)
        if drawn.random() < 0.5:
            assert post.take(7, target) == left[target].popleft()
    for target, numbers in left.items():
        assert [post.take(7, target) for _ in numbers] == list(numbers)
        with pytest.raises(RuntimeError, match="nothing came from rank 7"):
            post.take(7, target)


@given(st.permutations(range(4)))
def test_the_kth_send_meets_the_kth_receive_whatever_is_waited_for_first(order: list[int]) -> None:
    post, messages = Post(), messages_of("1f1b", 2)[:4]
    sender, receiver = (PostedWires(post, (5, 9), rank, (1,), torch.float32) for rank in (0, 1))
    receiver.issue(messages, lambda _: torch.zeros(1))
    for number, message in enumerate(messages):
        sender.issue([message], lambda _, number=number: torch.full((1,), float(number)))  # type: ignore[misc]
    assert [receiver.receive(messages[one]).item() for one in order] == order
    sender.finish()
    with pytest.raises(KeyError):
        receiver.receive(messages[0])


def test_a_message_of_another_shape_is_refused() -> None:
    wires = PostedWires(Post(), (0, 1), 0, (1,), torch.float32)
    with pytest.raises(InputError, match=r"\(2,\), torch.float32 for the .*nearest legal: \(1,\)"):
        wires.issue(messages_of("1f1b", 2)[:1], lambda _: torch.zeros(2))


def test_sums_have_the_same_bits_on_all_and_leave_what_others_gave() -> None:
    post, drawn = Post(), torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    rows = [one.clone() for one in drawn]

    def run(number: int) -> list[Any]:
        place = Posted(post, 2, 2, number)
        place.add(rows[number], "stage")
        place.add(rows[number], "data")  # of one copy: itself
        told = place.tell((place.pipeline_rank, place.expert_rank))
        return [place.swap(rows[number], 1 - place.pipeline_rank), told]

    found = run_ranks(run, 4, meetings=[post])
    for number, (swapped, told) in enumerate(found):
        stage, expert = divmod(number, 2)
        assert torch.equal(rows[number], drawn[2 * stage] + drawn[2 * stage + 1])
        assert torch.equal(swapped, rows[number ^ 2])
        assert told == [(0, expert), (1, expert)]


def test_on_a_gpu_the_taker_s_stream_goes_on_after_the_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[tuple[Any, ...]] = []
    monkeypatch.setattr(post_module, "mark", lambda device: ("event", device.type))
    monkeypatch.setattr(
        post_module, "arrived", lambda event, tensors: log.append((event, tensors)) or tensors
    )
    post, value = Post(), torch.ones(1)
    post.put(0, 1, value)
    post.put(0, 1, "no tensor")
    assert log == []
    assert post.take(0, 1) is value
    assert log == [(("event", "cpu"), [value])]
    assert post.take(0, 1) == "no tensor"
    assert len(log) == 1


def test_who_waits_hears_why_it_ended() -> None:
    post, told = Post(), []

    def wait() -> None:
        with pytest.raises(RuntimeError) as caught:
            post.take(0, 1)
        told.append(str(caught.value))

    waiting = threading.Thread(target=wait)
    waiting.start()
    post.end("rank 3 failed")
    waiting.join()
    with pytest.raises(RuntimeError, match="rank 3 failed"):
        post.take(0, 1)
    assert told == ["rank 3 failed"]


def test_what_needs_processes_says_so() -> None:
    with pytest.raises(InputError, match="a Posted; nearest legal: a Grid"):
        processes_of(Posted(Post(), 1, 1, 0))
    executor: Any = type("Executor", (), {"wires": PostedWires(Post(), (0,), 0, (1,), torch.int)})
    with pytest.raises(InputError, match=r"PostedWires; nearest legal: OneProcess\.recorded"):
        RunTrace(executor)
