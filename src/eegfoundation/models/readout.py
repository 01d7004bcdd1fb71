"""Linear readout: one weight per electrode, context value and class.

What a linear probe learned, as a model. It needs few labels and hides nothing: every electrode's
contribution to a decision is a number. The trade-off is that its weights belong to the electrodes
that it was fitted on. Each of them is read from the nearest electrode of a recording, `REACH` away
at most, and counts as the average of the training windows where there is none: a recording with
other electrodes gets an answer from those that it shares. Components
(`eegfoundation.evaluation.components`) are no electrodes: they come after the channels, always the
same ones in the same order.

Shape legend: B batch, C channels of the recording and components, R electrodes of the readout and
components, E context width, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eegfoundation.alignments import BANDS
from eegfoundation.errors import ModelInputError
from eegfoundation.models.downstream_config import DownstreamConfig
from eegfoundation.montage import positions as standard_positions

#: Metres to the electrode that may stand for another; neighbours of the 10-20 system are 3 to 4 cm
#: apart.
REACH = 0.04


class LinearReadout(nn.Module):
    """Context vectors of all electrodes -> logits, ``((context - mean) * scale) @ weight + bias``.

    ``electrodes``, (R less components, 3) metres, is where its electrodes are; NaN where unknown.
    """

    mean: Tensor
    scale: Tensor
    electrodes: Tensor

    def __init__(self, config: DownstreamConfig) -> None:
        super().__init__()
        n_chans, width, n_classes = config.num_channel, config.embedding_dim, config.num_classes
        self.n_components = len(config.component_names)
        n_signals = n_chans + self.n_components
        self.weight = nn.Parameter(torch.zeros(n_signals, width, n_classes))
        self.bias = nn.Parameter(torch.zeros(n_classes))
        self.register_buffer("mean", torch.zeros(n_signals, width))
        self.register_buffer("scale", torch.ones(n_signals, width))
        known = torch.full((n_chans, 3), torch.nan)
        if config.ch_names is not None:
            known = torch.from_numpy(standard_positions(config.ch_names)).to(known.dtype)
        self.register_buffer("electrodes", known)

    def forward(
        self, context: Tensor, positions: Tensor | None, channel_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Read out.

        Parameters
        ----------
        context : Tensor, shape (B, C, E)
        positions : Tensor, shape (B, C less components, 3) | None
            Metres in the head frame, NaN where unknown. None: the readout's own electrodes, in
            their order.
        channel_mask : Tensor of bool, shape (B, C)
            False for channels to leave out.

        Returns
        -------
        logits : Tensor, shape (B, K)
        share : Tensor, shape (B, C)
            Each channel's share of what tells the classes apart; sums to 1, or is 0 throughout
            where no channel says anything.

        Raises
        ------
        ModelInputError
            If none of the channels is one of the readout's, or near one.
        """
        nearest, found = self.match(positions, context.shape[:2])  # (B, R)
        found = found & channel_mask.gather(1, nearest)
        x = context.gather(1, nearest.unsqueeze(-1).expand(-1, -1, context.shape[-1]))
        x = torch.where(found.unsqueeze(-1), (x - self.mean) * self.scale, 0.0)
        contribution = torch.einsum("bre,rek->brk", x, self.weight)
        # what is added to all classes alike decides nothing
        size = (contribution - contribution.mean(-1, keepdim=True)).abs().sum(-1)
        share = torch.zeros_like(context[..., 0]).scatter_add(1, nearest, size)
        share = share / share.sum(1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
        return contribution.sum(1) + self.bias, share

    def match(self, positions: Tensor | None, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Channel (B, R) that stands for each electrode, and whether there is one.

        An exported graph cannot raise: there, the caller has to see that none is found.
        """
        batch, n_chans = shape[0], shape[1] - self.n_components
        n_electrodes = len(self.electrodes)
        device = self.electrodes.device
        mixed = n_chans + torch.arange(self.n_components, device=device).expand(batch, -1)
        if positions is None and n_chans == n_electrodes:
            order = torch.arange(shape[1], device=device).expand(batch, -1)
            return order, torch.ones_like(order, dtype=torch.bool)
        if positions is None:
            raise ModelInputError(
                f"Found {n_chans} channels without positions; this classifier reads "
                f"{n_electrodes} electrodes: give positions, or those electrodes in their order."
            )
        known = positions.isfinite().all(-1)  # (B, C)
        apart = self.electrodes.nan_to_num()[:, None] - positions.nan_to_num()[:, None]
        distance = torch.linalg.vector_norm(apart, dim=-1)  # (B, R, C)
        own = self.electrodes.isfinite().all(-1)  # (R,)
        unknown = ~(own[:, None] & known[:, None, :])
        distance = distance.masked_fill(unknown, torch.inf)
        channel = torch.arange(n_chans, device=device)
        same_number = torch.scalar_tensor(n_chans, device=device) == n_electrodes
        itself = (torch.arange(n_electrodes, device=device)[:, None] == channel) & same_number
        # electrodes without a place in the same place of the same montage are the same
        distance = distance.masked_fill(itself & ~own[:, None] & ~known[:, None, :], 0.0)
        distance = distance - 1e-6 * itself  # two channels in one spot keep their own
        found, nearest = distance.min(-1)
        found = found <= REACH
        if not torch.compiler.is_exporting() and not found.any(-1).all():
            raise ModelInputError(
                f"None of the {n_chans} channels lies within {100 * REACH:g} cm of one of the "
                f"{n_electrodes} electrodes that this classifier reads; give channels of known "
                "position over the same part of the head."
            )
        return torch.cat([nearest, mixed], 1), torch.cat([found, mixed >= 0], 1)


class CovarianceReadout(nn.Module):
    """Features of `eegfoundation.covariance`, (B, d) -> logits (B, K).

    A feature that is NaN counts as the average of the training windows. ``reference`` is where
    tangent vectors are taken, (F, R, R) microvolts squared, or empty for correlations.
    """

    mean: Tensor
    scale: Tensor
    reference: Tensor

    def __init__(self, config: DownstreamConfig) -> None:
        super().__init__()
        self.n_features = config.n_covariances
        n_chans = config.num_channel
        shape = (0,) if config.flicker_hz else (len(BANDS), n_chans, n_chans)
        self.weight = nn.Parameter(torch.zeros(self.n_features, config.num_classes))
        self.bias = nn.Parameter(torch.zeros(config.num_classes))
        self.register_buffer("mean", torch.zeros(self.n_features))
        self.register_buffer("scale", torch.ones(self.n_features))
        self.register_buffer("reference", torch.zeros(shape))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        x = ((features - self.mean) * self.scale).nan_to_num(0.0)
        return x @ self.weight + self.bias
