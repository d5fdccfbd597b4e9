"""Parameters of a published model, from its sizes."""

from __future__ import annotations

from dualpipe_ref.simulate.shapes import DEEPSEEK_V3, Parameters


def test_deepseek_v3_has_671_billion_parameters() -> None:
    """And 14 billion with multi-token prediction, which shares embedding and head (the model card says 14B of weights)."""
    biases = 58 * 256  # of the routers, which are no parameters here
    assert DEEPSEEK_V3.parameters.total + biases == 671_026_419_200
    assert round(DEEPSEEK_V3.predicting.total / 1e9, 1) == 11.6
    with_copies = DEEPSEEK_V3.predicting.total + 2 * DEEPSEEK_V3.embedding
    assert round(with_copies / 1e9, 1) == 13.5


def test_37_billion_are_active() -> None:
    shape = DEEPSEEK_V3
    idle = (shape.experts - shape.experts_per_token) * 3 * shape.hidden * shape.expert_hidden
    active = shape.parameters.total - 58 * idle
    assert round(active / 1e9, 1) == 37.6  # with embedding and head; 36.6 without the embedding


def test_stages_add_up_to_the_model() -> None:
    for stages in (1, 2, 16, 61):
        total = Parameters(0, 0)
        for stage in range(stages):
            total = total.plus(DEEPSEEK_V3.stage(stage, stages))
        assert total == DEEPSEEK_V3.parameters
