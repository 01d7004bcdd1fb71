"""What the encoder learns from: masked tokens, and the spectrum around every position.

Guessing masked amplitude tokens alone teaches mostly the slow activity that dominates amplitude
(docs/experiments.md). Two further heads ask for what EEG is read by: from every position, the log
power of the second around it in one-hertz bins; from the mean and the deviation of all positions,
that of the whole window, its mean and its quantiles over time, which tell bursts from steady
rhythms. Every spectrum is asked for twice: as its level, and as its contrast to the bins around,
because the level alone makes up nine tenths of the variance and the peaks would hardly count. The
heads are thrown away after pretraining, except the masked-token head.

Shape legend: B batch (one channel's window per row), T samples, N positions, D width, K = 70
one-hertz bins, P tokens per position, M masked positions.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.utils import ModelOutput

from eegfoundation.errors import ConfigError
from eegfoundation.models.config import EEGFoundationConfig
from eegfoundation.models.encoder import EEGFoundationModel, EEGFoundationPreTrainedModel
from eegfoundation.models.masked_lm import EEGFoundationForMaskedLM, MaskedLMHead
from eegfoundation.tokenizer import MASK, MAX_ABS_UV, N_BINS

N_SPECTRAL_BINS = 70  # 1 to 70 Hz; above 45 Hz it is mostly muscle, which tells states apart too
QUANTILES = (0.1, 0.5, 0.9)  # of a window's log power over time
# Typical scalp EEG, so that targets have mean about 0 and deviation about 1: log power at 1 Hz and
# its slope, and deviations of the level and of a position's and a window's contrast.
_AT_1_HZ, _SLOPE = 2.9, -1.65
_SD_LEVEL, _SD_CONTRAST, _SD_WINDOW_CONTRAST = 2.0, 0.7, 0.35
_N_AROUND = 9  # bins that the contrast is taken to
# Linear readouts that are thrown away may learn faster than the encoder that they read
_HEAD_GAIN = 10.0
_LARGEST_STRIDE = 10**6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """Weights of the parts of the pretraining loss."""

    token_weight: float = 0.2
    """Cross-entropy of masked tokens."""
    spectrum_weight: float = 1.0
    """Mean squared error of each position's spectrum."""
    window_weight: float = 1.0
    """Mean squared error of the window's spectra."""
    ordinal_sigma: float = 0.0
    """Standard deviation, in bins, of the target around the true bin; 0: plain cross-entropy."""
    token_stride: int = 5
    """Guess every n-th token of a masked position: at 200 Hz neighbours are nearly one guess."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not 0 <= getattr(self, field.name) < math.inf:
                raise ConfigError(f"{field.name}={getattr(self, field.name)}; it must be >= 0.")
        if self.ordinal_sigma > N_BINS:
            raise ConfigError(
                f"ordinal_sigma={self.ordinal_sigma}; there are {N_BINS} bins, so it must not be "
                "larger."
            )
        if self.token_stride < 1:
            raise ConfigError(f"token_stride={self.token_stride}; it must be at least 1.")
        if self.token_stride > _LARGEST_STRIDE:
            raise ConfigError(
                f"token_stride={self.token_stride}; no position has so many tokens, so it must be "
                "smaller."
            )
        if self.token_weight == 0 and not self.wants_spectra:
            raise ConfigError("All weights of the objective are 0; there is nothing to learn.")

    @property
    def wants_spectra(self) -> bool:
        """Whether any part of the loss asks for spectra."""
        return self.spectrum_weight > 0 or self.window_weight > 0


@dataclasses.dataclass
class PreTrainingOutput(ModelOutput):
    """Loss of one batch and its parts (scalars; None: not asked for)."""

    loss: Tensor | None = None
    token_loss: Tensor | None = None
    token_accuracy: Tensor | None = None
    spectrum_loss: Tensor | None = None
    window_loss: Tensor | None = None


class EEGFoundationForPreTraining(EEGFoundationPreTrainedModel):
    """Encoder with all pretraining heads.

    Parameters
    ----------
    config : EEGFoundationConfig
    objective : Objective | None
        None: the default weights.

    Notes
    -----
    Every loss is a sum over what is usable, divided by what was asked for. Dividing by what is
    usable would give the same sample another weight in another batch, and several processes, or
    accumulated batches, another result than one batch of all.
    """

    # what FSDP shards as one piece
    _no_split_modules: ClassVar[list[str]] = ["EncoderLayer"]

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "head.decoder.weight": "encoder.embeddings.word_embeddings.weight"
    }

    def __init__(self, config: EEGFoundationConfig, objective: Objective | None = None) -> None:
        super().__init__(config)
        self.objective = objective or Objective()
        self.encoder = EEGFoundationModel(config)
        self.head = MaskedLMHead(config)
        n_targets = 2 * N_SPECTRAL_BINS
        self.spectrum_head = nn.Linear(config.hidden_size, n_targets)
        self.window_head = nn.Linear(2 * config.hidden_size, (1 + len(QUANTILES)) * n_targets)
        sfreq = self.encoder.preprocessing.sfreq
        if self.objective.wants_spectra and round(sfreq) < 2 * N_SPECTRAL_BINS:
            raise ConfigError(
                f"Spectral targets reach {N_SPECTRAL_BINS} Hz, too much for signals at {sfreq:g} "
                "Hz: set spectrum_weight and window_weight to 0."
            )
        for head in (self.spectrum_head, self.window_head):
            head.requires_grad_(self.objective.wants_spectra)
        self.post_init()
        for head in (self.spectrum_head, self.window_head):
            nn.init.zeros_(head.weight)

    def get_output_embeddings(self) -> nn.Module:
        """Table that turns states into token scores (tied to the input table)."""
        return self.head.decoder

    def forward(self, signal: Tensor, masked: Tensor) -> PreTrainingOutput:
        """Loss of a batch.

        Parameters
        ----------
        signal : Tensor, shape (B, T)
            Preprocessed microvolts, T a multiple of ``tokens_per_position``; NaN where unusable.
        masked : Tensor of bool, shape (B, N)
            Positions to guess.
        """
        per_position = self.config.tokens_per_position
        ids, _state = self.encoder.tokenizer.encode(signal)
        hidden = masked.repeat_interleave(per_position, dim=1)
        encoded = self.encoder(ids.masked_fill(hidden, MASK))
        targets = ids.unflatten(1, (-1, per_position))[masked]
        token_loss, accuracy = self._token_loss(encoded.last_hidden_state[masked], targets)
        weights = self.objective
        loss = weights.token_weight * token_loss
        output = PreTrainingOutput(loss, token_loss.detach(), accuracy)
        if weights.wants_spectra:
            local, window = self._spectral_losses(signal, encoded.last_hidden_state)
            output.loss = loss + weights.spectrum_weight * local + weights.window_weight * window
            output.spectrum_loss, output.window_loss = local.detach(), window.detach()
        return output

    def as_masked_lm(self, weights: dict[str, Tensor] | None = None) -> EEGFoundationForMaskedLM:
        """Give the part that is kept: encoder and masked-token head, marked as trained.

        Parameters
        ----------
        weights : dict of Tensor | None
            State of this model, where it has been gathered from several processes.
        """
        config = EEGFoundationConfig(**{**self.config.to_diff_dict(), "trained": True})
        model = EEGFoundationForMaskedLM(config)
        weights = self.state_dict() if weights is None else weights
        model.load_state_dict({name: weights[name] for name in model.state_dict()})
        return model.eval()

    def _token_loss(self, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of masked positions, states (M, D) against tokens (M, P); and accuracy."""
        guesses = self.head(states.unsqueeze(1)).unflatten(1, targets.shape[1:])
        stride = self.objective.token_stride
        logits = self.head.decoder(guesses[:, ::stride].flatten(0, 1)).float()
        targets = targets[:, ::stride].flatten()
        amplitude = targets < N_BINS  # nobody can guess which samples are unusable
        n_asked = max(1, len(targets))
        logits, targets = logits[amplitude], targets[amplitude].long()
        accuracy = (logits.argmax(-1) == targets).sum() / max(1, len(targets))
        sigma = self.objective.ordinal_sigma
        if sigma == 0:
            return F.cross_entropy(logits, targets, reduction="sum") / n_asked, accuracy
        log_p = logits.log_softmax(-1)
        reach = torch.arange(-round(3 * sigma), round(3 * sigma) + 1, device=logits.device)
        weight = torch.exp(-0.5 * (reach / sigma).square())
        near = (targets.unsqueeze(1) + reach).clamp(0, N_BINS - 1)
        return -(log_p.gather(1, near) * (weight / weight.sum())).sum() / n_asked, accuracy

    def _spectral_losses(self, signal: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Errors of the position-wise and the window-wise log spectrum, where all is usable."""
        usable = signal.abs() <= MAX_ABS_UV  # False for NaN, as in the tokenizer
        signal = signal.where(usable, 0.0)
        power = short_time_power(signal, self.encoder.preprocessing.sfreq, states.shape[1])
        guesses = _HEAD_GAIN * self.spectrum_head(states).float()
        local = (guesses - position_targets(power)).square().mean((1, 2))
        variance, mean = torch.var_mean(states.float(), dim=1, correction=0)
        deviation = (variance + self.config.layer_norm_eps).sqrt()
        guesses = _HEAD_GAIN * self.window_head(torch.cat([mean, deviation], dim=-1)).float()
        window = (guesses - window_targets(power)).square().mean(1)
        whole = usable.all(1)
        return (local * whole).mean(), (window * whole).mean()


def short_time_power(signal: Tensor, sfreq: float, n_positions: int) -> Tensor:
    """Power of the second around every position in one-hertz bins from 1 Hz.

    Parameters
    ----------
    signal : Tensor, shape (B, T)
        Finite microvolts.
    sfreq : float
    n_positions : int

    Returns
    -------
    power : Tensor, shape (B, N, K)
        Microvolts squared per hertz, two-sided (Hann window; the mean is left out with 0 Hz).
    """
    second = round(sfreq)
    hop = signal.shape[1] // n_positions
    window = torch.hann_window(second, device=signal.device)
    # frames are centred on the middle of each position's samples
    padded = F.pad(signal.float(), (second // 2, second // 2), mode="reflect")
    frames = padded[:, hop // 2 :].unfold(1, second, hop)[:, :n_positions]
    spectrum = torch.fft.rfft(frames * window, dim=-1)[..., 1 : N_SPECTRAL_BINS + 1]
    return spectrum.abs().square() / (sfreq * window.square().sum())


def position_targets(power: Tensor) -> Tensor:
    """What every position has to tell, from short-time power (B, N, K): (B, N, 2 K).

    Power is averaged over three bins first: the logarithm of a single bin is mostly its noise.
    """
    power = F.avg_pool1d(F.pad(power, (1, 1), mode="replicate"), 3, 1)
    return level_and_contrast(log_power(power), _SD_CONTRAST)


def window_targets(power: Tensor) -> Tensor:
    """What a window has to tell, from short-time power (B, N, K): (B, 4 * 2 K).

    Log of the mean power, and quantiles of the log power over time.
    """
    levels = torch.tensor(QUANTILES, device=power.device)
    quantiles = log_power(power).quantile(levels, dim=1).unbind(0)
    spectra = torch.stack([log_power(power.mean(1)), *quantiles], dim=1)
    return level_and_contrast(spectra, _SD_WINDOW_CONTRAST).flatten(1)


def level_and_contrast(log_power: Tensor, sd_contrast: float) -> Tensor:
    """Log spectra (B, N, K) relative to typical EEG, and to the bins around, (B, N, 2 K)."""
    frequency = torch.arange(1, N_SPECTRAL_BINS + 1, device=log_power.device)
    level = log_power - (_AT_1_HZ + _SLOPE * frequency.log())
    half = _N_AROUND // 2
    around = F.avg_pool1d(F.pad(log_power, (half, half), mode="replicate"), _N_AROUND, 1)
    return torch.cat([level / _SD_LEVEL, (log_power - around) / sd_contrast], dim=-1)


def log_power(power: Tensor) -> Tensor:
    """Natural logarithm, floored at 1e-3 uV^2/Hz: below is amplifier noise."""
    return (power + 1e-3).log()
