"""What the processor can: which of two ways to compute the same is the faster one here."""

from __future__ import annotations

import functools
from typing import Any

import torch


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for bfloat16; a processor without AVX-512 or AMX has none."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    can = _capabilities()
    return device.type == "cpu" and bool(can.get("avx512_bf16") or can.get("amx_bf16"))


@functools.cache
def has_matrix_units() -> bool:
    """Whether the processor multiplies whole tiles of bfloat16 at once (AMX)."""
    return bool(_capabilities().get("amx_bf16"))


@functools.cache
def slows_mkl() -> bool:
    """Whether MKL, which multiplies float32 for PyTorch, leaves half of the units idle (AMD)."""
    return "AMD" in _capabilities().get("cpu_name", "")


def _capabilities() -> dict[str, Any]:
    ask: Any = getattr(torch.cpu, "get_capabilities", dict)  # PyTorch before 2.9 does not tell
    return dict(ask())
