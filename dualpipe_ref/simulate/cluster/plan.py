"""A training step to be: which model, on which cluster, cut how, in which order. What it costs is `step.evaluate`'s to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.schedule.ir import OpKind, Placement
from dualpipe_ref.schedule.kinds import placement_of, slots_of
from dualpipe_ref.simulate.cluster import overlapped
from dualpipe_ref.simulate.cluster.constants import Kernels
from dualpipe_ref.simulate.cluster.device import DEVICES, Device
from dualpipe_ref.simulate.cluster.layer import Clock
from dualpipe_ref.simulate.cluster.transport import TRANSPORTS, AllToAll, Transport
from dualpipe_ref.simulate.cluster.work import Setting
from dualpipe_ref.simulate.deployment import V3_PRECISION, Precision
from dualpipe_ref.simulate.shapes import DEEPSEEK_V3, ModelShape
from dualpipe_ref.simulate.volumes import ExpertGrid


@dataclass(frozen=True)
class Plan:
    """All choices of a run. The default is DeepSeek-V3's (report, arXiv:2412.19437, sections 3.2 and 4.2).

    Matrix products are in `precision`, "fp8" or "bf16"; `stored` has the bytes of parameters, gradients and states; `predicting`
    trains multi-token prediction as well. A token goes to `node_limit` nodes at most (None: to all).

    `gpus` = pipeline x tensor x data; `expert_ranks` of the tensor x data ranks at one place of the pipelines share the experts.
    `sequences` of `length` tokens make a step, `micro` of them a micro-batch. `sms` are reserved in overlapped pairs (None: what
    the transport asks for). `policy` is what the backward makes again. `zero` 1 shares out optimizer states, 2 gradients, too.
    `slow` has factors for single GPUs that take longer for everything. `split` is how many layers each stage has (None: as
    `layout.shared_out` finds best).

    >>> plan = Plan()
    >>> plan.data, plan.microbatches, plan.grid.nodes
    (128, 120, 8)
    """

    shape: ModelShape = DEEPSEEK_V3
    device: Device = DEVICES["H800"]
    gpus: int = 2048
    pipeline: int = 16
    tensor: int = 1
    expert_ranks: int = 64
    sequences: int = 15360
    length: int = 4096
    micro: int = 1
    schedule: str = "dualpipe"
    chunks: int | None = None
    precision: str = "fp8"
    stored: Precision = V3_PRECISION
    policy: str = "up-projections"
    predicting: bool = True
    node_limit: int | None = 4
    transport: Transport = TRANSPORTS["sms"]
    sms: int | None = None
    zero: int = 1
    kernels: Kernels = field(default_factory=Kernels)
    slow: Mapping[int, float] = field(default_factory=dict)
    split: tuple[int, ...] | None = None

    @property
    def data(self) -> int:
        """Pipelines beside each other."""
        return self.gpus // (self.pipeline * self.tensor)

    @property
    def microbatches(self) -> int:
        """Of one pipeline in one step: m."""
        return self.sequences // (self.data * self.micro)

    @property
    def tokens(self) -> int:
        """Of one step."""
        return self.sequences * self.length

    @property
    def reserved(self) -> int:
        """SMs that an overlapped pair takes from computation: none without pairs, or without experts on other ranks."""
        if not self.shape.experts or self.expert_ranks == 1 or not self.has_pairs:
            return 0
        if not self.transport.needs_sms:
            return 0
        return self.transport.sms if self.sms is None else self.sms

    @cached_property
    def placement(self) -> Placement:
        kind = "interleaved" if self.schedule == overlapped.NAME else self.schedule
        return placement_of(kind, self.pipeline, slots_of(kind, self.chunks))

    @cached_property
    def order(self) -> Schedule:
        """The schedule."""
        if self.schedule == overlapped.NAME:
            chunks = slots_of("interleaved", self.chunks)
            return overlapped.interleaved_overlapped(self.pipeline, self.microbatches, chunks)
        return build(self.schedule, self.pipeline, self.microbatches, self.chunks)

    @cached_property
    def has_pairs(self) -> bool:
        """Whether the schedule overlaps a forward with a backward."""
        return any(op.kind is OpKind.FB for op in self.order.ops[0])

    @property
    def grid(self) -> ExpertGrid:
        """Where a layer's experts are."""
        per_node = min(self.device.gpus_per_node, self.expert_ranks)
        nodes = self.expert_ranks // per_node
        limit = nodes if self.node_limit is None else min(self.node_limit, nodes)
        return ExpertGrid(nodes, per_node, self.shape.experts, self.shape.experts_per_token, limit)

    @property
    def exchange(self) -> AllToAll | None:
        """Dispatch and combine; None without experts on other ranks."""
        if not self.shape.experts or self.expert_ranks == 1:
            return None
        tokens = self.micro * self.length // self.tensor
        sms = self.transport.sms if self.sms is None else self.sms
        narrow = 1 if self.precision == "fp8" else 2
        hidden = self.shape.hidden
        return AllToAll(
            self.device, self.kernels, self.grid, tokens, hidden, narrow, self.transport, sms
        )

    @property
    def clock(self) -> Clock:
        """How long the parts of a layer take."""
        exchange = self.exchange
        setting = Setting(
            self.shape,
            self.micro * self.length,
            self.length,
            self.tensor,
            self.shape.experts // self.expert_ranks,
            float(exchange.spread.gpus) if exchange else 1,
            self.precision,
        )
        return Clock(self.device, self.kernels, setting, self.policy)
