"""Linear maps that oneDNN multiplies, on the CPU where no gradient is needed.

PyTorch multiplies float32 with MKL, which is slow on processors that are not Intel's, and adds the
bias in a pass of its own, in bfloat16 at a quarter of the whole time. oneDNN does both at once, and
a GELU with them (docs/performance.md has the ratios). PyTorch's compiler uses the same operation;
it has no public name, so where it is missing the plain one is taken, which gives the same but for
rounding.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import GELUActivation


class Linear(nn.Linear):
    """`torch.nn.Linear` by way of `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.linear`: x weight^T + bias, (..., D_in) -> (..., D_out)."""
    return _onednn(x, weight, bias) if suits_onednn(x, weight) else F.linear(x, weight, bias)


def activated(layer: nn.Module, activation: nn.Module, x: Tensor) -> Tensor:
    """As ``activation(layer(x))``; a GELU while the products are still in the cache."""
    if (
        type(layer) is Linear  # and not a kind of it that adds something
        and type(activation) is GELUActivation
        and not (layer._forward_hooks or layer._forward_pre_hooks)
        and suits_onednn(x, layer.weight)
    ):
        return _onednn(x, layer.weight, layer.bias, "gelu")
    found: Tensor = activation(layer(x))
    return found


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, then: str = "none") -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], "none")
    return found


def suits_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN may multiply here."""
    return not (
        torch.compiler.is_compiling()
        or torch.is_grad_enabled()
        or torch.is_autocast_enabled(x.device.type)
        or type(weight) not in (Tensor, nn.Parameter)  # a shard, or quantised
        or x.device.type != "cpu"
        or x.dtype != weight.dtype
        or x.numel() == 0
        or not has_onednn(x.dtype)
    )


@functools.cache
def has_onednn(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch and this processor have the operation in a type."""
    if not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
