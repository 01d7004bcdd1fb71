"""EEGFoundation as a model of braindecode: raw windows in, logits out.

    clf = EEGClassifier(EEGFoundation, module__sfreq=250, module__chs_info=raw.info["chs"])
    clf.fit(windows, y=None)

Whatever works with braindecode's models (https://braindecode.org) works with this one: skorch,
PEFT, Hugging Face's hub, open-eeg-bench. Filters, change of rate, reference and tokenizer are part
of the forward pass. No weight but those of ``final_layer`` depends on the number of channels, and
none on the window length: a checkpoint serves any recording.

What ``final_layer`` gets is the only way to the output. With ``readout="linear"``, the default, it
is what the encoder says of each electrode, so a frozen encoder is a linear probe of trained
features. ``readout="fusion"`` puts cross-channel attention between, which knows where the
electrodes are and which starts untrained: it needs more labels.

braindecode has an environment of its own here, as `make test-integrations` makes it. Nothing else
of this package imports it.

Shape legend: B batch, C channels, T samples, E width of a context vector, F width of the fusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from eegfoundation import montage
from eegfoundation.errors import ChannelError, CheckpointError, ConfigError, ModelInputError
from eegfoundation.integrations.braindecode_weights import (
    context_vectors,
    is_loading,
    load_all,
    loading,
    open_encoder,
    usual_values,
)
from eegfoundation.integrations.window_preprocessing import WindowPreprocessing
from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification, fingerprint
from eegfoundation.models.downstream_config import READOUTS
from eegfoundation.recording import Recording
from eegfoundation.units import MICROVOLTS, PLAUSIBLE_SD, check_units

try:
    from braindecode.models.base import EEGModuleMixin
except ImportError as error:
    raise ImportError(
        "braindecode is not installed; install it into an environment of its own: "
        "pip install -c constraints-integrations.txt -e . 'braindecode[hub]'."
    ) from error
except OSError as error:
    raise ImportError(
        "braindecode imports torchaudio, whose library was built for another torch "
        f"({error}); install a torchaudio that was built for torch {torch.__version__}."
    ) from error

#: FIFF's codes of triggers, eyes, muscles and heart. "Misc" may be anything: braindecode makes
#: arrays that.
_NO_EEG = {3, 202, 302, 402, "stim", "eog", "emg", "ecg"}
#: Arguments that say the same: whoever gives one does not want what was saved of the others.
_SAME = (
    ("n_chans", "chs_info"),
    ("chs_info", "n_chans"),
    ("n_times", "input_window_seconds"),
    ("sfreq", "input_window_seconds"),
    ("input_window_seconds", "n_times"),
)


class EEGFoundation(  # type: ignore[call-arg]  # what the mixin takes, where it is not installed
    EEGModuleMixin,
    nn.Module,
    license="apache-2.0",
    tags=["eeg", "foundation-model", "braindecode"],
):
    """EEGFoundation's encoder and a readout, for windows at any rate.

    Parameters
    ----------
    n_outputs : int
        Classes, or values to predict.
    n_chans : int
        Channels; not needed beside `chs_info`.
    chs_info : list of dict
        ``raw.info["chs"]``: where the electrodes are, and which channels are bipolar.
    n_times, input_window_seconds : int, float
        Length of the windows that it is made for; any other of at least 0.5 s is accepted.
    sfreq : float
        Of the windows, Hz.
    encoder : str
        As in `eegfoundation.load_encoder`: ``"small"``, a folder made by ``save_pretrained``, or a
        hub id.
    weights : {"pretrained", "random"}
        Of the encoder; ``"random"`` is the untrained control.
    seed : int
        Of random weights.
    readout : {"linear", "fusion"}
        What `final_layer` reads: the context vectors of all channels (B, C, E), or what
        cross-channel attention makes of them and of the signal (B, F).
    drop_prob : float
        Dropout before the last linear layer.
    units : {"V", "mV", "uV", "nV"} | None
        Of the windows. None: microvolts, and amplitudes that no EEG has are an error.
    line_freq : float | None
        Mains frequency in Hz, to be taken out of windows that were not filtered.
    encoder_config : dict | None
        Architecture of the encoder, filled in: a checkpoint needs no other file to be loaded.
    encoder_sha256 : str | None
        Fingerprint of the encoder, filled in; `from_config` refuses another one.

    Raises
    ------
    ConfigError
        If an argument has an impossible value, or what is needed is not known.
    ChannelError
        If `chs_info` has channels that are no EEG.
    CheckpointError
        If the encoder is not to be found, or another one than `encoder_sha256` says.

    Examples
    --------
    >>> import torch
    >>> from eegfoundation.integrations.braindecode import EEGFoundation
    >>> model = EEGFoundation(n_outputs=2, n_chans=7, n_times=1000, sfreq=500)
    >>> model(20 * torch.randn(3, 7, 1000)).shape
    torch.Size([3, 2])
    """

    _HUB_NOTES_TEMPLATE = ""  # it would have people import this from braindecode

    if TYPE_CHECKING:  # what the mixin and the buffers bring
        n_outputs: int
        n_chans: int
        n_times: int
        sfreq: float
        positions: Tensor
        mean: Tensor
        scale: Tensor
        _braindecode_init_kwargs: dict[str, Any]
        _set_n_outputs: Any
        _deserialize_chs_info: Any

    def __init__(
        self,
        n_outputs: int | None = None,
        n_chans: int | None = None,
        chs_info: list[dict[str, Any]] | None = None,
        n_times: int | None = None,
        input_window_seconds: float | None = None,
        sfreq: float | None = None,
        *,
        encoder: str = "small",
        weights: str = "pretrained",
        seed: int = 0,
        readout: str = "linear",
        drop_prob: float = 0.5,
        units: str | None = None,
        line_freq: float | None = None,
        encoder_config: dict[str, Any] | None = None,
        encoder_sha256: str | None = None,
    ) -> None:
        if chs_info and isinstance(chs_info[0].get("loc"), list):  # as saved
            chs_info = self._deserialize_chs_info(chs_info)
        super().__init__(n_outputs, n_chans, chs_info, n_times, input_window_seconds, sfreq)
        if readout not in READOUTS:
            raise ConfigError(f"readout={readout!r}; choose one of {READOUTS}.")
        if units is not None and units not in MICROVOLTS:
            raise ConfigError(f"units={units!r}; choose one of V, mV, uV, nV.")
        self._needs("n_outputs", "n_chans", "n_times", "sfreq")
        names, positions = _electrodes(chs_info, self.n_chans)
        self.readout, self.drop_prob, self.units = readout, drop_prob, units
        self.encoder = open_encoder(encoder, weights, seed, encoder_config, encoder_sha256)
        self.signal = WindowPreprocessing(
            self.encoder.preprocessing, self.sfreq, names, line_freq=line_freq
        )
        if len(self.signal.ch_names) != len(names):
            positions = montage.positions(self.signal.ch_names)
        self.register_buffer("positions", torch.from_numpy(positions).float(), persistent=False)
        mean, scale = usual_values(self.encoder)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        width = self.encoder.config.context_size
        self.fusion: nn.Module | None = None
        if readout == "fusion":
            self.fusion, width = self._fusion(width), DownstreamConfig.classification_hidden_dim
        else:
            width *= len(self.signal.ch_names)
        self._n_features = width
        self.final_layer: nn.Module = self._head(self.n_outputs)
        if not is_loading() and weights == "pretrained":
            encoder_sha256 = fingerprint(self.encoder)
        self._remember(
            encoder=str(encoder),
            encoder_config=self.encoder.config.to_diff_dict(),
            encoder_sha256=encoder_sha256,
        )

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor | dict[str, Any]:
        """Classify windows.

        Parameters
        ----------
        x : Tensor, shape (B, C, T)
            In `units`. NaN marks samples that cannot be used.
        return_features : bool
            Return what `final_layer` gets.

        Returns
        -------
        logits : Tensor, shape (B, n_outputs)
            Or, with `return_features`, a dict of ``"features"``, (B, C, E) or (B, F), and
            ``"cls_token"``, which is None.

        Raises
        ------
        ModelInputError
            If the shape does not fit.
        UnitsError
            If no EEG has such amplitudes and `units` was not given.
        """
        if x.ndim != 3 or x.shape[1] != self.n_chans or 0 in x.shape:
            raise ModelInputError(
                f"Windows of shape {tuple(x.shape)} were given; expected (B, {self.n_chans}, T)."
            )
        x = x.float() * MICROVOLTS[self.units or "uV"]
        if self.units is None:
            self._check_units(x)
        signal = self.signal(x)
        context = context_vectors(self.encoder, signal)  # NaN for dead channels
        context = (context - self.mean) * self.scale
        if self.fusion is None:
            features = torch.where(context.isfinite(), context, 0.0)
        else:
            features = self.fusion(signal, context, positions=self.positions).logits
        if return_features:
            return {"features": features, "cls_token": None}
        return self.final_layer(features)

    def reset_head(self, n_outputs: int) -> None:
        """Put a new, untrained `final_layer` in place.

        Parameters
        ----------
        n_outputs : int
        """
        self._set_n_outputs(n_outputs)
        device = next(self.parameters()).device
        self.final_layer = self._head(n_outputs).to(device)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **kwargs: Any) -> EEGFoundation:
        """Load what ``save_pretrained`` or ``push_to_hub`` wrote, all of it or not at all.

        Parameters
        ----------
        name_or_path : str | Path
            Folder or hub id.
        **kwargs
            Arguments of the model to change. With another number of outputs or, if the readout is
            linear, of channels, `final_layer` starts anew, and a warning says so for channels.

        Returns
        -------
        model : EEGFoundation
            In evaluation mode.

        Raises
        ------
        CheckpointError
            If a weight is missing, unexpected or of another shape.
        """
        replaced = [name for given, name in _SAME if given in kwargs and name not in kwargs]
        kwargs |= dict.fromkeys(replaced)
        model: EEGFoundation = super().from_pretrained(name_or_path, **kwargs)
        return model

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **kwargs: Any) -> Any:
        if not kwargs.get("encoder_config"):
            raise CheckpointError(
                f"{model_id} has no config.json of EEGFoundation; expected what save_pretrained "
                "writes."
            )
        with loading():
            try:
                return super()._from_pretrained(model_id=model_id, **kwargs)
            except FileNotFoundError as error:
                raise CheckpointError(f"{model_id} holds no model.safetensors.") from error

    @classmethod
    def _load_as_safetensor(cls, model: Any, model_file: str, *_: Any) -> Any:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            found = load_file(model_file)
        except SafetensorError as error:
            raise CheckpointError(f"{model_file} is damaged: {error}.") from error
        return load_all(model, found, model_file)

    @classmethod
    def _load_as_pickle(cls, model: Any, model_file: str, *_: Any) -> Any:
        raise CheckpointError(f"{model_file} is a pickle; expected model.safetensors beside it.")

    def _needs(self, *names: str) -> None:
        """Say what to give where the data did not say it."""
        for name in names:
            try:
                getattr(self, name)
            except ValueError:
                raise ConfigError(
                    f"{name} is not known; give {name}=, or module__{name}= to an EEGClassifier."
                ) from None

    def _head(self, n_outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(1), nn.Dropout(self.drop_prob), nn.Linear(self._n_features, n_outputs)
        )

    def _fusion(self, width: int) -> nn.Module:
        """Cross-channel attention up to the classifier's last layer, which is ours."""
        config = DownstreamConfig(
            num_channel=len(self.signal.ch_names),
            seq_len=self.signal.n_out(self.n_times),
            embedding_dim=width,
            classification_dropout=0.0,  # before the last layer, that is, in it
            preprocessing=self.encoder.config.preprocessing,
        )
        classifier = EEGFoundationForClassification(config)
        classifier.final_layer = nn.Identity()  # type: ignore[assignment]
        return classifier

    def _remember(self, **values: Any) -> None:
        """What the configuration is to say beside the arguments as they were given."""
        for config in (self._braindecode_init_kwargs, getattr(self, "_hub_mixin_config", None)):
            if config is not None:
                config.update(values)

    def _check_units(self, x: Tensor) -> None:
        """Raise if the amplitudes, in what is taken for microvolts, are not those of EEG."""
        low, high = PLAUSIBLE_SD
        deviation = x.detach().nan_to_num(0.0, 0.0, 0.0).std(-1)
        deviation = deviation[deviation > 0]
        if len(deviation) and not low <= float(deviation.median()) <= high:
            windows = x.detach().cpu().numpy()
            check_units(
                Recording(
                    name="The batch",
                    ch_names=[str(i) for i in range(self.n_chans)],
                    sfreq=self.sfreq,
                    n_times=x.shape[-1],
                    positions=np.full((self.n_chans, 3), np.nan),
                    reader=lambda start, stop: windows[start:stop],
                    n_epochs=len(windows),
                    history={"reading": {"units": "uV"}},
                )
            )


def _electrodes(
    chs_info: Sequence[dict[str, Any]] | None, n_chans: int
) -> tuple[list[str], np.ndarray]:
    """Normalised names, and positions (C, 3) in metres, NaN where unknown."""
    if chs_info is None:
        return [f"ch{i + 1}" for i in range(n_chans)], np.full((n_chans, 3), np.nan)
    names = [str(channel["ch_name"]) for channel in chs_info]
    others = [
        name
        for name, channel in zip(names, chs_info, strict=True)
        if channel.get("kind") in _NO_EEG or montage.channel_kind(name) != "eeg"
    ]
    if others:
        raise ChannelError(
            f"chs_info has channels that are no EEG: {', '.join(others[:5])}; pick EEG before "
            "cutting windows."
        )
    # as for any recording: the template's place, else what was digitised
    own = np.array([channel.get("loc", [np.nan] * 3)[:3] for channel in chs_info], dtype=float)
    own[[int(channel.get("coord_frame", 4)) != 4 for channel in chs_info]] = np.nan
    found = montage.add_digitised(montage.positions(names), own)
    return [montage.normalise_name(name) for name in names], found
