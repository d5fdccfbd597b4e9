"""Everything that decides a training run, checked as a whole. Loading this needs the standard library alone.

Making one needs torch, which the model's sizes bring along.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dualpipe_ref.schedule import Placement, build
from dualpipe_ref.schedule.errors import InputError, require_int, shortened
from dualpipe_ref.schedule.kinds import placement_of, slots_of
from dualpipe_ref.train.text import BLOCK

if TYPE_CHECKING:
    from dualpipe_ref.model.config import ModelConfig

BYTES = 256  # the vocabulary of byte-level tokens


def default_model() -> ModelConfig:
    """Sizes that learn text below 2 nats a byte in minutes."""
    from dualpipe_ref.model.config import ModelConfig

    return ModelConfig(hidden=96, heads=3, expert_hidden=96)


@dataclass(frozen=True)
class TrainSettings:
    """A run on `pipeline_ranks` x `expert_ranks` x `data_ranks` processes; the defaults suit 4 on 2 CPU cores.

    A step has `microbatches` (m) micro-batches of `sequences` (B) sequences of `tokens` (S) tokens for each expert and data
    rank. `clip` bounds the norm of all gradients together (None: no bound). `ema` is the decay of an average of the parameters on the host (None: there is none), `moments` the type of AdamW's moments, "float32" or "bf16". `bias_speed` is how far the balancing bias
    of an expert moves a step. `data` is a text file (None: the documentation that Python brings). `checkpoint` is a
    folder, written every `checkpoint_every` steps and at the end; `resume` goes on from what it holds.
    Raises `InputError`.

    >>> TrainSettings(schedule="dualpipe", pipeline_ranks=3)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: DualPipe needs an even number of ranks; got P = 3; nearest legal: P = 4
    """

    schedule: str = "dualpipe"
    pipeline_ranks: int = 4
    expert_ranks: int = 1
    data_ranks: int = 1
    chunks: int | None = None
    microbatches: int = 8
    sequences: int = 4
    tokens: int = 64
    steps: int = 400
    learning_rate: float = 4e-3
    last_learning_rate: float = 4e-4
    warmup: int = 20
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float | None = 1.0
    ema: float | None = None
    moments: str = "float32"
    bias_speed: float = 1e-3
    seed: int = 0
    data: str | None = None
    evaluate_every: int = 100
    checkpoint: str | None = None
    checkpoint_every: int = 100
    resume: bool = False
    model: ModelConfig = field(default_factory=default_model)

    def __post_init__(self) -> None:
        _check_counts(self)
        _check_numbers(self)
        build(self.schedule, self.pipeline_ranks, self.microbatches, self.chunks)
        _check_model(self)
        if self.resume and self.checkpoint is None:
            raise InputError(
                "a run is resumed from a checkpoint folder", "resume without checkpoint"
            )

    @property
    def processes(self) -> int:
        """How many there are.

        >>> TrainSettings(pipeline_ranks=2, expert_ranks=2).processes
        4
        """
        return self.pipeline_ranks * self.expert_ranks * self.data_ranks

    @property
    def placement(self) -> Placement:
        """Which rank holds which stage."""
        slots = slots_of(self.schedule, self.chunks)
        return placement_of(self.schedule, self.pipeline_ranks, slots)

    @property
    def tokens_per_step(self) -> int:
        """Of all processes together.

        >>> TrainSettings(microbatches=8, sequences=2, tokens=128).tokens_per_step
        2048
        """
        replicas = self.expert_ranks * self.data_ranks
        return self.microbatches * self.sequences * self.tokens * replicas

    def learning_rate_at(self, step: int) -> float:
        """Up in a straight line for `warmup` steps, then half a cosine down to `last_learning_rate` at the last step.

        >>> settings = TrainSettings(steps=101, warmup=1, learning_rate=1.0, last_learning_rate=0.5)
        >>> [round(settings.learning_rate_at(step), 3) for step in (0, 50, 100)]
        [1.0, 0.75, 0.5]
        """
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup + 1) / max(1, self.steps - self.warmup))
        fall = self.learning_rate - self.last_learning_rate
        return self.last_learning_rate + fall * (1 + math.cos(math.pi * done)) / 2

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` makes the same settings of it.

        >>> TrainSettings.from_dict(TrainSettings(steps=7).to_dict()) == TrainSettings(steps=7)
        True
        """
        plain = dataclasses.asdict(self)
        return plain | {"betas": list(self.betas)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TrainSettings:
        """What `to_dict` made. Raises `InputError` for names that settings have not, and for values that do not fit."""
        from dualpipe_ref.model.config import ModelConfig

        given = _known(cls, plain)
        if "model" in given:
            given["model"] = ModelConfig(**_known(ModelConfig, given["model"]))
        if isinstance(given.get("betas"), list):
            given["betas"] = tuple(given["betas"])
        return cls(**given)


def _known(kind: type, plain: Any) -> dict[str, Any]:
    """A copy of a dict that has only fields of this dataclass."""
    names = [one.name for one in dataclasses.fields(kind)]
    if not isinstance(plain, Mapping) or any(name not in names for name in plain):
        strange = (
            [name for name in plain if name not in names] if isinstance(plain, Mapping) else plain
        )
        raise InputError(
            f"{kind.__name__} are an object with {', '.join(names)}", shortened(strange)
        )
    return dict(plain)


def _check_counts(settings: TrainSettings) -> None:
    for name in ("pipeline_ranks", "expert_ranks", "data_ranks", "microbatches", "sequences"):
        require_int(name, getattr(settings, name), 1)
    for name in ("steps", "tokens", "evaluate_every", "checkpoint_every"):
        require_int(name, getattr(settings, name), 1)
    for name in ("warmup", "seed"):
        require_int(name, getattr(settings, name), 0)
    for name in ("data", "checkpoint"):
        value = getattr(settings, name)
        if value is not None and not (isinstance(value, str) and value):
            raise InputError(f"{name} is a path or nothing", f"{name} = {shortened(value)}")
    if not isinstance(settings.resume, bool):
        raise InputError(
            "resume is true or false", f"resume = {shortened(settings.resume)}", "true"
        )
    if settings.tokens >= BLOCK:
        raise InputError(
            f"a sequence and its next token fit into a block of {BLOCK} bytes",
            f"tokens = {settings.tokens}",
            f"tokens = {BLOCK - 1}",
        )


def _check_numbers(settings: TrainSettings) -> None:
    _require_number("learning_rate", settings.learning_rate, above=0.0)
    for name in ("last_learning_rate", "weight_decay", "bias_speed"):
        _require_number(name, getattr(settings, name))
    if settings.clip is not None:
        _require_number("clip", settings.clip, above=0.0)
    if settings.moments not in ("float32", "bf16"):
        raise InputError(
            "moments are float32 or bf16", f"moments = {shortened(settings.moments)}", "bf16"
        )
    if settings.ema is not None and _require_number("ema", settings.ema, above=0.0) >= 1:
        raise InputError("ema is a decay below 1", f"ema = {settings.ema}", "ema = 0.999")
    if not isinstance(settings.betas, tuple) or len(settings.betas) != 2:
        raise InputError(
            "betas are two numbers", f"betas = {shortened(settings.betas)}", "(0.9, 0.95)"
        )
    for beta in settings.betas:
        if _require_number("betas", beta) >= 1:
            raise InputError("betas are below 1", f"betas = {settings.betas}", "(0.9, 0.95)")
    if settings.last_learning_rate > settings.learning_rate:
        raise InputError(
            "the learning rate falls",
            f"from {settings.learning_rate} to {settings.last_learning_rate}",
            f"last_learning_rate = {settings.learning_rate}",
        )


def _require_number(name: str, value: object, above: float | None = None) -> float:
    """A finite number of at least 0, or above `above`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and (value >= 0 if above is None else value > above):  # type: ignore[arg-type,operator]
        return float(value)  # type: ignore[arg-type]
    default = TrainSettings.__dataclass_fields__[name].default
    nearest = {"betas": 0.9, "ema": 0.999}.get(name, default)
    least = "of at least 0" if above is None else f"above {above:g}"
    raise InputError(
        f"{name} is a finite number {least}",
        f"{name} = {shortened(value)}",
        f"{name} = {nearest if above is not None else 0}",
    )


def _check_model(settings: TrainSettings) -> None:
    """The model fits the text, the stages of the schedule, and the ranks that share its experts."""
    from dualpipe_ref.comm.topology import Topology
    from dualpipe_ref.model.config import ModelConfig
    from dualpipe_ref.model.stage import layers_of_stages

    model = settings.model
    if not isinstance(model, ModelConfig):
        raise InputError("model is a ModelConfig", f"model = {shortened(model)}")
    if model.vocabulary < BYTES:
        raise InputError(
            "tokens are bytes", f"vocabulary = {model.vocabulary}", f"vocabulary = {BYTES}"
        )
    layers_of_stages(model.layers, settings.placement.stages)
    Topology(1, settings.expert_ranks).experts_per_rank(model.experts)
