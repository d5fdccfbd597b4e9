"""Batches: a function of their place alone; trained and held-out text have no byte in common."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.train.corpus import Corpus, Place, _runs
from dualpipe_ref.train.text import BLOCK

SMALL = st.integers(0, 50)


def numbered(blocks: int, rest: int = 0) -> bytes:
    """A text whose byte says which block it stands in."""
    return b"".join(bytes([block]) * BLOCK for block in range(blocks)) + bytes([blocks]) * rest


def counting(size: int) -> bytes:
    return bytes(place % 251 for place in range(size))


@given(st.integers(10 * BLOCK, 45 * BLOCK))
def test_every_tenth_block_is_held_out(size: int) -> None:
    trained, held_out = _runs(size)
    places = sorted((*trained, *held_out), key=lambda run: run.start)
    assert [run.start for run in places] == [0, *(run.stop for run in places[:-1])]
    assert places[-1].stop == size
    assert [run.start for run in held_out] == list(range(9 * BLOCK, size, 10 * BLOCK))
    assert all(len(run) <= BLOCK for run in held_out)


@given(SMALL, SMALL, st.integers(1, BLOCK - 1))
def test_no_sequence_reaches_over_an_edge(step: int, seed: int, tokens: int) -> None:
    corpus = Corpus(numbered(31, rest=100), tokens, seed)
    seen = torch.cat(corpus.batch(Place(step, 0), 4), dim=1)
    assert not bool((seen % 10 == 9).any())
    assert bool((seen.amax(1) - seen.amin(1) < 9).all()), "of one run of nine blocks"
    held_out = torch.cat(corpus.evaluation(0, 3), dim=1)
    assert held_out.unique().tolist() == [9, 19, 29], "a few stand for all blocks"


def test_held_out_sequences_do_not_overlap() -> None:
    """Each byte that one predicts is predicted once, and a block is used up to its end."""
    size = 20 * BLOCK
    corpus = Corpus(counting(size), tokens=127)
    assert corpus.evaluation_sequences == 2 * (BLOCK // 128)
    starts = [start for _, start in corpus._held_out]
    used = [place for start in starts for place in range(start, start + 128)]
    assert len(used) == len(set(used)) == 2 * BLOCK


@given(SMALL, SMALL, st.integers(1, 6), st.integers(1, 40))
def test_targets_are_the_next_tokens(step: int, microbatch: int, rows: int, tokens: int) -> None:
    corpus = Corpus(counting(12 * BLOCK), tokens)
    for inputs, targets in (
        corpus.batch(Place(step, microbatch), rows),
        corpus.evaluation(step % 9, rows),
    ):
        assert inputs.shape == targets.shape == (rows, tokens)
        assert inputs.dtype == targets.dtype == torch.int64
        assert torch.equal((inputs + 1) % 251, targets)


PLACES = st.builds(
    Place, SMALL, SMALL, st.integers(0, 1), st.just(2), st.integers(0, 3), st.integers(0, 1), st.just(2)
)  # fmt: skip


@given(PLACES, PLACES, st.integers(0, 1))
def test_another_place_has_other_tokens_and_the_same_place_the_same(
    one: Place, other: Place, seed: int
) -> None:
    text = torch.randint(256, (30 * BLOCK,), generator=torch.Generator().manual_seed(0))
    content = bytes(text.tolist())
    first, again = (Corpus(content, 16, seed).batch(one, 2)[0] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(first, Corpus(content, 16, seed).batch(other, 2)[0]) == (one == other)
    assert not torch.equal(first, Corpus(content, 16, seed + 1).batch(one, 2)[0])


def test_the_cut_does_not_change_what_a_step_sees() -> None:
    """One direction or two, many small micro-batches or few large ones, copies or shared experts."""
    corpus = Corpus(counting(40 * BLOCK), 8)

    def tokens(places: list[Place], sequences: int) -> torch.Tensor:
        return torch.cat([corpus.batch(place, sequences)[0] for place in places])

    wanted = tokens([Place(5, k) for k in range(8)], 2)
    assert torch.equal(tokens([Place(5, k, d, 2) for k in range(4) for d in range(2)], 2), wanted)
    assert torch.equal(tokens([Place(5, k) for k in range(4)], 4), wanted)
    copies = tokens([Place(5, 0, data_rank=rank) for rank in range(2)], 2)
    shared = tokens([Place(5, 0, expert_rank=rank, expert_ranks=2) for rank in range(2)], 2)
    assert torch.equal(copies, shared)
    assert not torch.equal(copies[:2], copies[2:])


def test_all_starts_are_drawn_alike() -> None:
    """The share of sequences that begin in each block of nine is even, but for the last, which ends one sequence earlier."""
    corpus = Corpus(numbered(10), tokens=1)
    inputs, _ = corpus.batch(Place(0, 0), 9000)
    shares = torch.bincount(inputs.flatten(), minlength=10)
    assert shares[9] == 0
    assert all(850 < count < 1150 for count in shares[:9].tolist())


def test_evaluation_beyond_the_text_is_refused() -> None:
    corpus = Corpus(counting(10 * BLOCK), tokens=1000)
    assert corpus.evaluation_sequences == 4
    for number in (2, -1):
        with pytest.raises(InputError, match=r"gives 2 batches of 2 sequences.*nearest legal"):
            corpus.evaluation(number, 2)


@pytest.mark.parametrize(("size", "tokens"), [(10 * BLOCK, BLOCK), (9 * BLOCK, 4), (0, 4), (1, 4)])
def test_a_text_that_is_too_short_is_refused(size: int, tokens: int) -> None:
    with pytest.raises(InputError):
        Corpus(counting(size), tokens)
