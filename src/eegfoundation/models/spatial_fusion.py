"""Spatial fusion: patches and context vectors of all channels -> one vector per window.

Two streams meet here. *Local patterns*: short patches of each channel's standardised signal,
projected linearly. *Global context*: the temporal encoder's vector for the channel. Attention runs
across channels at each moment, told where every electrode sits; attention pooling over channels,
then over time, gives one vector and says which electrodes it came from.

Channels are a set: nothing depends on their order or number, and no weight on the window length.

Shape legend: B batch, C channels, T samples, N patches, D width, H heads, E context width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegfoundation.models.downstream_config import DownstreamConfig
from eegfoundation.models.encoder import masked_score

#: Wavelengths of the coordinate features: the head is about 0.2 m wide, windows last 0.5 to 60 s.
SPACE_WAVELENGTHS = (0.4, 0.2, 0.1, 0.05)
TIME_WAVELENGTHS = tuple(0.5 * 2**i for i in range(9))


def make_norm(config: DownstreamConfig) -> nn.Module:
    """Return the normalisation that ``rms_norm`` asks for."""
    return (nn.RMSNorm if config.rms_norm else nn.LayerNorm)(config.d_model)


class CoordinateEmbedding(nn.Module):
    """Coordinates (..., K) in metres or seconds -> (..., D).

    Sines and cosines at fixed wavelengths (Tancik et al. 2020, arXiv:2006.10739), then a linear
    layer.
    """

    def __init__(self, n_coordinates: int, wavelengths: tuple[float, ...], width: int) -> None:
        super().__init__()
        self.wavelengths = wavelengths
        self.project = nn.Linear(2 * n_coordinates * len(wavelengths), width)

    def forward(self, coordinates: Tensor) -> Tensor:
        scale = coordinates.new_tensor([2 * math.pi / w for w in self.wavelengths])
        phase = (coordinates.unsqueeze(-1) * scale).flatten(-2)
        return self.project(torch.cat([phase.sin(), phase.cos()], dim=-1))


class LocalPatches(nn.Module):
    """Signal (B, C, T) -> patches (B, C, N, D), and which of them hold a usable sample.

    Each channel is standardised over its window. The last patch is filled up with its mean.
    """

    def __init__(self, config: DownstreamConfig) -> None:
        super().__init__()
        self.size, self.stride = config.patch_size, config.stride
        self.project = nn.Linear(config.patch_size, config.d_model)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        beyond = torch.sym_max(0, x.shape[-1] - self.size)  # max, which exported graphs know too
        # rounded up without negative numbers, which ONNX divides in another way
        n_steps = n_kept = (beyond + self.stride - 1) // self.stride
        if torch.compiler.is_exporting():
            n_steps = n_steps + 1  # one patch and several would be two graphs: one more, not usable
        missing = self.size + n_steps * self.stride - x.shape[-1]
        x = F.pad(x, (0, missing), value=torch.nan)
        usable = x.isfinite()
        count = usable.sum(-1, keepdim=True).clamp(min=1)
        x = torch.where(usable, x, 0.0)
        x = torch.where(usable, x - x.sum(-1, keepdim=True) / count, 0.0)
        deviation = (x.square().sum(-1, keepdim=True) / count).sqrt()
        # unusable samples and what a short window lacks are zero: the channel's mean
        x = x / deviation.clamp(min=torch.finfo(x.dtype).tiny)
        patches = self.project(x.unfold(-1, self.size, self.stride))
        usable = usable.unfold(-1, self.size, self.stride).any(-1)
        if torch.compiler.is_exporting():
            usable = usable & (torch.arange(n_steps + 1, device=x.device) <= n_kept)
        return patches, usable


class CrossChannelAttention(nn.Module):
    """Attention across channels, (B, N, C, D) -> (B, N, C, D)."""

    def __init__(self, config: DownstreamConfig, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(config.d_model, config.d_model)
        self.k_proj = nn.Linear(config.d_model, config.d_model)
        self.v_proj = nn.Linear(config.d_model, config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (
            proj(x).unflatten(-1, (self.num_heads, -1)).transpose(2, 3)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )  # (B, N, H, C, D / H)
        if torch.compiler.is_exporting():  # ONNX knows attention over four axes, not five
            shape = q.shape
            q, k, v = (value.reshape(-1, *shape[2:]) for value in (q, k, v))
            mask = bias.reshape(-1, 1, 1, shape[3])
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).reshape(shape)
        else:
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[:, :, None, None, :])
        return self.out_proj(x.transpose(2, 3).flatten(3))


class FusionBlock(nn.Module):
    """One pre-norm block of cross-channel attention and feed-forward."""

    def __init__(self, config: DownstreamConfig, num_heads: int = 8) -> None:
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = CrossChannelAttention(config, math.gcd(num_heads, config.d_model))
        self.feed_forward = nn.Sequential(
            make_norm(config),
            nn.Linear(config.d_model, 2 * config.d_model),
            nn.GELU(),
            nn.Linear(2 * config.d_model, config.d_model),
        )

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), bias)
        return x + self.feed_forward(x)


class SpatialFusion(nn.Module):
    """Local patches and context vectors of all channels -> one vector (B, D)."""

    def __init__(self, config: DownstreamConfig) -> None:
        super().__init__()
        self.patch_size, self.stride = config.patch_size, config.stride
        self.local_patterns = LocalPatches(config)
        self.global_context = nn.Sequential(
            nn.Linear(config.embedding_dim, config.projection_embedding_dim),
            nn.GELU(),
            nn.Linear(config.projection_embedding_dim, config.d_model),
        )
        self.electrode = CoordinateEmbedding(3, SPACE_WAVELENGTHS, config.d_model)
        self.unknown_electrode = nn.Parameter(torch.zeros(config.d_model))
        self.moment = CoordinateEmbedding(1, TIME_WAVELENGTHS, config.d_model)
        self.block = FusionBlock(config)
        self.norm = make_norm(config)
        # no bias: a constant added to all scores cancels in the softmax
        self.channel_score = nn.Linear(config.d_model, 1, bias=False)
        self.time_score = nn.Linear(config.d_model, 1, bias=False)

    def forward(
        self, x: Tensor, context: Tensor, positions: Tensor, channel_mask: Tensor, sfreq: float
    ) -> tuple[Tensor, Tensor]:
        """Fuse channels.

        Parameters
        ----------
        x : Tensor, shape (B, C, T)
            Signal at ``sfreq``; NaN marks unusable samples.
        context : Tensor, shape (B, C, E)
            Context vectors, finite.
        positions : Tensor, shape (B, C, 3)
            Metres in the head frame, NaN where unknown.
        channel_mask : Tensor of bool, shape (B, C)
            False for channels to leave out.
        sfreq : float
            Hz.

        Returns
        -------
        pooled : Tensor, shape (B, D)
        attention : Tensor, shape (B, C)
            Share of each electrode in the pooled vector; sums to 1.
        """
        patches, usable = (out.transpose(1, 2) for out in self.local_patterns(x))  # (B, N, C, D)
        usable = usable & channel_mask.unsqueeze(1)  # (B, N, C)
        start = torch.arange(patches.shape[1], dtype=x.dtype, device=x.device) * self.stride
        moment = self.moment(((start + self.patch_size / 2) / sfreq).unsqueeze(-1))  # (N, D)
        # a position that is not known is learned as "unknown", never guessed
        known = positions.isfinite().all(-1, keepdim=True)
        electrode = self.electrode(positions.nan_to_num(0, 0, 0))
        electrode = torch.where(known, electrode, self.unknown_electrode)
        channel = self.global_context(context) + electrode  # (B, C, D)
        h = patches + channel.unsqueeze(1) + moment.unsqueeze(1)
        # additive, so that a window without any usable channel stays finite
        bias = torch.zeros_like(h[..., 0]).masked_fill(~usable, masked_score(h.dtype))  # (B, N, C)
        h = self.norm(self.block(h, bias))
        by_channel = (self.channel_score(h).squeeze(-1) + bias).softmax(-1)
        h = (h * by_channel.unsqueeze(-1)).sum(2)  # (B, N, D)
        by_time = (self.time_score(h).squeeze(-1) + bias.amax(-1)).softmax(-1)  # (B, N)
        pooled = (h * by_time.unsqueeze(-1)).sum(1)
        return pooled, (by_channel * by_time.unsqueeze(-1)).sum(1)
