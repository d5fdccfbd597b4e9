"""What a layer asks of one GPU: matrix products, attention, bytes of memory, bytes on links. Counted, not timed.

A layer has two computing parts, attention and MLP, and each a forward (F), a backward for its input (I) and for its weights (W).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.lanes import Part
from dualpipe_ref.simulate.shapes import ModelShape

F, I, W = OpKind.F, OpKind.I, OpKind.W  # noqa: E741 - the field's letters
WIDE = 4  # bytes of a float32
BACK = 2.5  # operations of attention's backward in those of its forward: five products for two, scores made again


class Product(NamedTuple):
    """A matrix product: so many rows of `inner` numbers to rows of `outer` numbers; `grouped` over a rank's experts."""

    name: str
    rows: float
    inner: int
    outer: int
    grouped: bool = False
    narrow: bool = True  # in the precision of the run; otherwise in bf16

    @property
    def operations(self) -> float:
        """Multiplications and additions.

        >>> Product("head", 2, 3, 5).operations
        60
        """
        return 2 * self.rows * self.inner * self.outer


@dataclass(frozen=True)
class Setting:
    """The micro-batch as one GPU sees it: `tokens` in sequences of `length`, `tensor` ranks that share a layer's matrices.

    `spread` is on how many GPUs a token's experts lie, in the mean; `local_experts` how many experts a GPU holds.
    """

    shape: ModelShape
    tokens: int
    length: int
    tensor: int = 1
    local_experts: int = 1
    spread: float = 1
    precision: str = "fp8"

    @property
    def narrow(self) -> int:
        """Bytes of a number that goes into a matrix product."""
        return 1 if self.precision == "fp8" else 2

    @property
    def share(self) -> float:
        """Tokens of one GPU where its `tensor` ranks share the sequence too."""
        return self.tokens / self.tensor


def products(setting: Setting, part: Part, is_dense: bool) -> list[Product]:
    """The products of a part's forward with weights.

    >>> from dualpipe_ref.simulate.shapes import DEEPSEEK_V3
    >>> made = products(Setting(DEEPSEEK_V3, 4096, 4096, local_experts=4), Part.MLP, is_dense=False)
    >>> [(one.name, one.rows, one.inner, one.outer) for one in made][3:]
    [('experts, up', 32768, 7168, 4096), ('experts, down', 32768, 2048, 7168)]
    """
    shape, tensor, tokens = setting.shape, setting.tensor, setting.tokens
    if part is Part.ATTENTION:
        *inner, last = shape.attention_products
        first = [
            Product(f"attention {n}", tokens, a, b // tensor) for n, (a, b) in enumerate(inner)
        ]
        return [*first, Product("attention, out", tokens, last[0] // tensor, last[1])]
    if is_dense:
        wide = shape.dense_hidden // tensor
        return _gated("dense", tokens, shape.hidden, wide, grouped=False)
    found = [Product("router", setting.share, shape.hidden, shape.experts, narrow=False)]
    if shape.shared_experts:
        wide = shape.shared_experts * shape.expert_hidden
        found += _gated("shared", setting.share, shape.hidden, wide, grouped=False)
    rows = setting.share * shape.experts_per_token
    rows = int(rows) if rows == int(rows) else rows
    return found + _gated("experts", rows, shape.hidden, shape.expert_hidden, grouped=True)


def _gated(name: str, rows: float, hidden: int, wide: int, *, grouped: bool) -> list[Product]:
    return [
        Product(f"{name}, up", rows, hidden, 2 * wide, grouped),
        Product(f"{name}, down", rows, wide, hidden, grouped),
    ]


def attention_operations(setting: Setting) -> float:
    """Of scores and their product with the values, in the forward; half of the square, since attention is causal."""
    shape = setting.shape
    each = shape.heads * (shape.nope + shape.rope + shape.value) / setting.tensor
    return setting.tokens * setting.length * each


def traffic(setting: Setting, part: Part, kind: OpKind, is_dense: bool) -> float:
    """Bytes that everything but products and attention reads and writes: norms, casts, rotary, permuting, sums."""
    if kind is W:
        return sum(_weight_bytes(setting, one) for one in products(setting, part, is_dense))
    count = _attention_bytes if part is Part.ATTENTION else _mlp_bytes
    # A backward reads a gradient beside what its forward read, and writes one for what that wrote.
    return (1 if kind is F else 2) * count(setting, is_dense)


def norm_bytes(setting: Setting) -> float:
    """Of one norm of all tokens: reads bf16, writes what a product takes."""
    return setting.share * setting.shape.hidden * (2 + setting.narrow)


def _attention_bytes(setting: Setting, is_dense: bool) -> float:
    shape, narrow = setting.shape, setting.narrow
    latents = ((shape.query_latent or 0) + shape.key_value_latent) * (2 + narrow)
    heads = shape.queries_keys_values / setting.tensor
    rotated = heads * 4  # read and written once: rotation, and keys put together
    out = shape.heads * shape.value / setting.tensor * (2 + narrow if narrow == 1 else 0)
    residual = 6 * shape.hidden / setting.tensor
    return norm_bytes(setting) + setting.tokens * (latents + rotated + out + residual)


def _mlp_bytes(setting: Setting, is_dense: bool) -> float:
    shape, narrow = setting.shape, setting.narrow
    residual = 6 * shape.hidden * setting.share
    if is_dense:
        gate = shape.dense_hidden / setting.tensor * (4 + narrow) * setting.tokens
        return norm_bytes(setting) + gate + residual
    chosen, hidden = shape.experts_per_token, shape.hidden
    copies = setting.spread
    permute = hidden * narrow * (copies + chosen)
    gate = (chosen + shape.shared_experts) * shape.expert_hidden * (4 + narrow)
    weighted = hidden * 2 * (chosen + copies)
    return norm_bytes(setting) + setting.share * (permute + gate + weighted) + residual


def _weight_bytes(setting: Setting, product: Product) -> float:
    """Operands cast again for the other direction (fp8), and a gradient in float32 that is read and written."""
    cast = product.rows * (2 * product.inner + 3 * product.outer) if setting.narrow == 1 else 0
    experts = setting.local_experts if product.grouped else 1
    return cast + 2 * WIDE * experts * product.inner * product.outer


def products_of(setting: Setting, part: Part, kind: OpKind, is_dense: bool) -> Iterator[Product]:
    """The products of F, I or W: for I numbers in and out change places, for W rows are what is summed over."""
    for one in products(setting, part, is_dense):
        if kind is F:
            yield one
        elif kind is I:
            yield one._replace(inner=one.outer, outer=one.inner)
        else:
            yield one._replace(rows=one.inner, inner=round(one.rows), outer=one.outer)


def head_product(setting: Setting) -> Product:
    """The output head, in bf16 (DeepSeek-V3 report, section 3.3.1)."""
    shape = setting.shape
    return Product(
        "head", setting.tokens, shape.hidden, shape.vocabulary // setting.tensor, narrow=False
    )


def model_operations(shape: ModelShape, length: int) -> float:
    """Operations a token of forward and backward that the model itself needs: no recomputation, causal attention, no
    multi-token prediction. Each active parameter of a product counts six.

    >>> from dualpipe_ref.simulate.shapes import DEEPSEEK_V3
    >>> round(model_operations(DEEPSEEK_V3, 4096) / 1e9)
    250
    """
    one = Setting(shape, 1, length)
    total = 3 * head_product(one).operations
    for layer in range(shape.layers):
        dense = layer < shape.dense_layers
        for part in (Part.ATTENTION, Part.MLP):
            total += 3 * sum(product.operations for product in products(one, part, dense))
        total += 3 * attention_operations(one)
    return total
