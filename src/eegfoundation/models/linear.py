"""Linear maps that oneDNN multiplies, on the CPU where no gradient is needed.

PyTorch multiplies float32 with MKL, which is slow on processors that are not Intel's, and adds the
bias in a pass of its own, in bfloat16 at a quarter of the whole time. oneDNN does both at once
(docs/performance.md has the ratios). PyTorch's compiler uses the same operation; it has no public
name, so where it is missing the plain one is taken, which gives the same but for rounding.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """`torch.nn.Linear` by way of `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.linear`: x weight^T + bias, (..., D_in) -> (..., D_out)."""
    plain = (
        torch.compiler.is_compiling()
        or torch.is_grad_enabled()
        or torch.is_autocast_enabled(x.device.type)
        or type(weight) not in (Tensor, nn.Parameter)  # a shard, or quantised
        or x.device.type != "cpu"
        or x.dtype != weight.dtype
        or x.numel() == 0
        or not has_onednn(x.dtype)
    )
    if plain:
        return F.linear(x, weight, bias)
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "none")
    return out


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
