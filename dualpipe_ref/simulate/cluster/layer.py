"""How long each part of a layer takes on a device, in whole nanoseconds: from `work` and the rates of `constants`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.cluster.constants import Kernels, fp8_rate
from dualpipe_ref.simulate.cluster.device import H100_BF16, H100_FP8, Device
from dualpipe_ref.simulate.cluster.work import (
    BACK,
    F,
    I,
    Product,
    Setting,
    W,
    attention_operations,
    head_product,
    norm_bytes,
    products,
    products_of,
    traffic,
)
from dualpipe_ref.simulate.lanes import Part

TERA = 1e12
NS = 1e9


class Compute(NamedTuple):
    """Nanoseconds of one computing part: the model's own work, what is made again, and waiting for tensor-parallel ranks."""

    work: int = 0
    again: int = 0
    tensor: int = 0

    @property
    def on_sms(self) -> int:
        """What lasts longer on fewer SMs."""
        return self.work + self.again

    def plus(self, other: Compute) -> Compute:
        return Compute(*(a + b for a, b in zip(self, other, strict=True)))


class LayerTimes(NamedTuple):
    """All parts of one layer. `combine_back` brings gradients to the experts, `dispatch_back` takes them home."""

    compute: dict[tuple[Part, OpKind], Compute]
    dispatch: int = 0
    combine: int = 0
    dispatch_back: int = 0
    combine_back: int = 0

    def network(self, part: Part, kind: OpKind) -> int:
        """Of an all-to-all."""
        name = part.value if kind is F else f"{part.value}_back"
        found: int = getattr(self, name)
        return found


@dataclass(frozen=True)
class Clock:
    """Times on all SMs of a device, as the rates of `kernels` have them."""

    device: Device
    kernels: Kernels
    setting: Setting
    policy: str = "none"

    def product(self, product: Product) -> float:
        """Seconds.

        >>> from dualpipe_ref.simulate.cluster.device import DEVICES
        >>> from dualpipe_ref.simulate.shapes import DEEPSEEK_V3
        >>> clock = Clock(DEVICES["H800"], Kernels(), Setting(DEEPSEEK_V3, 4096, 4096))
        >>> round(1e3 * clock.product(Product("experts, up", 32768, 7168, 4096, grouped=True)), 3)
        1.494
        """
        if product.narrow and self.setting.precision == "fp8":
            rate = fp8_rate(product.outer, product.inner, grouped=product.grouped)
            rate *= self.kernels["fp8_products"] * self.device.fp8 / H100_FP8
        else:
            rate = self.kernels["bf16_products"] * self.device.bf16 / H100_BF16
        return product.operations / (rate * TERA)

    def bytes(self, count: float) -> float:
        """Seconds to read and write so many."""
        return count / (self.device.hbm * self.kernels["memory_share"] * NS)

    def attention(self, kind: OpKind) -> float:
        """Seconds of the kernel between the products."""
        if kind is W:
            return 0
        name = "attention_forward" if kind is F else "attention_backward"
        rate = self.kernels[name] * self.device.bf16 / H100_BF16 * TERA
        return (1 if kind is F else BACK) * attention_operations(self.setting) / rate

    def compute(self, part: Part, kind: OpKind, is_dense: bool) -> Compute:
        """One computing part."""
        work = sum(map(self.product, products_of(self.setting, part, kind, is_dense)))
        work += self.bytes(traffic(self.setting, part, kind, is_dense))
        if part is Part.ATTENTION:
            work += self.attention(kind)
        again = self._again(part, is_dense) if kind is I else 0
        return Compute(_ns(work), _ns(again), self._tensor(part, kind, is_dense))

    def _again(self, part: Part, is_dense: bool) -> float:
        """Seconds of what the backward makes again, by policy."""
        if self.policy == "none":
            return 0
        if self.policy == "full":
            forward = self.compute(part, F, is_dense)
            return forward.work / NS
        found = self.bytes(norm_bytes(self.setting))
        if self.policy == "up-projections" and part is Part.ATTENTION:
            made = products(self.setting, part, is_dense)[:-1]
            up = made if self.setting.shape.key_value_heads is not None else made[-2:]
            found += sum(map(self.product, up))
        return found

    def _tensor(self, part: Part, kind: OpKind, is_dense: bool) -> int:
        """An all-gather and a reduce-scatter of all tokens over NVLink (Korthikanti et al. 2022, arXiv:2205.05198);
        experts are whole on each rank and need none."""
        setting = self.setting
        if setting.tensor == 1 or kind is W or (part is Part.MLP and not is_dense):
            return 0
        count = setting.tokens * setting.shape.hidden * 2 * (setting.tensor - 1) / setting.tensor
        return _ns(2 * count / (self.device.nvlink * NS))

    @cached_property
    def head(self) -> LayerTimes:
        """The output head and the loss, as if it were the MLP of a layer without attention; float32 logits, read twice."""
        product = head_product(self.setting)
        logits = self.bytes(product.rows * product.outer * 3 * 4)
        gradient = self.bytes(2 * 4 * product.inner * product.outer)
        one = self.product(product)
        none = Compute()
        times = {
            (Part.MLP, F): Compute(_ns(one + logits)),
            (Part.MLP, I): Compute(_ns(one)),
            (Part.MLP, W): Compute(_ns(one + gradient)),
        }
        return LayerTimes({(Part.ATTENTION, kind): none for kind in (F, I, W)} | times)

    @cached_property
    def embedding(self) -> LayerTimes:
        """Rows that are looked up, and their gradients added to float32 ones; in the same form."""
        count = self.setting.share * self.setting.shape.hidden
        times = {
            (Part.MLP, F): Compute(_ns(self.bytes(4 * count))),
            (Part.MLP, W): Compute(_ns(self.bytes(10 * count))),
        }
        none = {
            (part, kind): Compute() for part in (Part.ATTENTION, Part.MLP) for kind in (F, I, W)
        }
        return LayerTimes(none | times)

    def joining(self) -> Compute:
        """The product of multi-token prediction that joins two hidden vectors to one, forward; its backward is twice that."""
        hidden = self.setting.shape.hidden
        return Compute(
            _ns(self.product(Product("joining", self.setting.tokens, 2 * hidden, hidden)))
        )


def _ns(seconds: float) -> int:
    return round(seconds * NS)
