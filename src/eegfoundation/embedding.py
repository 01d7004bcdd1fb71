"""From a recording to embeddings: one row per window, one vector per channel.

`embed` is the one line that most users need; `embed_files` is the same as a command, writing to
disk as it goes. Both run `iter_embeddings`, which holds one block of windows in memory at a time.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.embeddings import Embeddings, write_embeddings
from eegfoundation.errors import CheckpointError, ModelInputError

if TYPE_CHECKING:
    from torch import nn

    from eegfoundation.models import EEGFoundationModel
    from eegfoundation.recording import Recording
    from eegfoundation.windows import Windows

#: Positions that one batch may hold: on a CPU as many as its caches do, elsewhere as many as keep
#: the device busy; the activations of any encoder stay within a few hundred MB.
POSITIONS_PER_BATCH = {"cpu": 2_048, "other": 65_536}

#: Types to compute in. More than float32 would not be: embeddings are saved as float32.
DTYPES = ("float32", "bfloat16", "float16")


def embed(
    source: Any,
    model: str | Path | EEGFoundationModel = "small",
    window: float = 10.0,
    overlap: float = 0.0,
    *,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
    line_freq: float | None = None,
    time_resolved: bool = False,
    dtype: Any = None,
    device: Any = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Embeddings:
    """Embed a recording.

    Parameters
    ----------
    source : path | mne.io.Raw | mne.Epochs | ndarray | Recording
        Anything that `read_recording` takes.
    model : str | Path | EEGFoundationModel
        An encoder, or what `load_encoder` takes.
    window, overlap : float
        Seconds. A recording gives one row per window, and one row if it is shorter than a window
        (at least 0.5 s); epochs give one row each.
    sfreq, ch_names, units
        As in `read_recording`.
    line_freq : float | None
        Mains frequency in Hz for the notch; None: what the file says, else what is detected.
    time_resolved : bool
        Return the states of every position instead of one vector per window.
    dtype : torch.dtype | str | None
        Type to compute in: float32 (also None), bfloat16 or float16.
    device : str | torch.device | None
        None: where the encoder is.
    batch_size : int | None
        Channel windows per forward pass; None chooses by memory. It does not change the result.
    progress : bool | None
        Show a progress bar; None: only on a terminal.

    Returns
    -------
    embeddings : Embeddings

    Raises
    ------
    EEGFoundationError
        If the source cannot be read or embedded; the message says what to do.

    Examples
    --------
    >>> import numpy as np, eegfoundation
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((2, 5000)) * 20  # 20 s of two channels, microvolts
    >>> encoder = eegfoundation.load_encoder("tiny", weights="random")
    >>> eegfoundation.embed(x, encoder, sfreq=250, ch_names=["C3", "C4"]).values.shape
    (2, 2, 128)
    """
    recording, encoder = prepare(source, model, sfreq, ch_names, units, line_freq)
    parts = list(
        iter_embeddings(
            recording,
            encoder,
            window,
            overlap,
            time_resolved=time_resolved,
            dtype=dtype,
            device=device,
            batch_size=batch_size,
            progress=progress,
        )
    )
    values, times, quality = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Embeddings(
        values=values,
        times=times,
        quality=quality,
        ch_names=recording.ch_names,
        history=recording.history,
    )


def embed_files(
    files: list[str],
    out: str,
    model: str = "small",
    window: float = 10.0,
    overlap: float = 0.0,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
    line_freq: float | None = None,
    time_resolved: bool = False,
    dtype: str = "float32",
    device: str | None = None,
    overwrite: bool = False,
) -> None:
    """Embed recordings: one .npz per file, and what was done to it as JSON beside it.

    Parameters
    ----------
    files : list of str
        Recordings, in any format that is read.
    out : str
        Folder for <name>_embeddings.npz and <name>_embeddings.preprocessing.json.
    model : str
        Shipped name, folder or hub id of an encoder.
    window : float
        Length of a window in seconds.
    overlap : float
        Overlap of windows in seconds.
    sfreq : float | None
        Sampling rate in Hz, for .npy files; other files know theirs.
    ch_names : list of str | None
        Channels to use, in this order; for .npy files, the name of each channel.
    units : str | None
        Unit of the numbers in the files, if they are not what they claim: V, mV, uV or nV.
    line_freq : float | None
        Mains frequency in Hz; default: what the file says, else what is detected.
    time_resolved : bool
        Write the states of every position instead of one vector per window.
    dtype : str
        Type to compute in: float32, or bfloat16 (twice as fast on recent processors) or float16.
    device : str | None
        Where to compute, such as cuda; default: the processor.
    overwrite : bool
        Replace existing results.
    """
    settings = dict(locals())

    from eegfoundation.batch import each_file
    from eegfoundation.models import load_encoder
    from eegfoundation.windows import n_windows

    encoder = load_encoder(model, device=device)

    def work(file: str, path: Path, overwrite: bool) -> None:
        recording, _ = prepare(file, encoder, sfreq, ch_names, units, line_freq)
        n_rows = n_windows(recording, window, overlap)
        parts = iter_embeddings(
            recording, encoder, window, overlap, time_resolved=time_resolved, dtype=dtype
        )
        shape = n_rows, *_row_shape(recording, encoder, window, time_resolved)
        write_embeddings(path, shape, parts, recording.ch_names, recording.history, overwrite)
        print(f"{path}: {n_rows} windows, {recording.n_chans} channels, {shape[-1]} values each")

    each_file(files, work, out=out, ending="_embeddings.npz", settings=settings)


def iter_embeddings(
    recording: Recording,
    encoder: EEGFoundationModel,
    window: float = 10.0,
    overlap: float = 0.0,
    *,
    time_resolved: bool = False,
    dtype: Any = None,
    device: Any = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Embed a preprocessed recording block by block.

    Parameters
    ----------
    recording : Recording
        From `preprocess`, at the encoder's sampling rate.
    encoder : EEGFoundationModel
    window, overlap, time_resolved, dtype, device, batch_size, progress
        As in `embed`.

    Yields
    ------
    values, times, quality : ndarray
        Of the next windows; see `Embeddings`.

    Raises
    ------
    CheckpointError
        If the encoder gives NaN for usable signal.
    """
    from eegfoundation.models.registry import on_device
    from eegfoundation.windows import watch_windows

    encoder = on_device(encoder, device)
    if batch_size is not None and batch_size < 1:
        raise ModelInputError(f"batch_size is {batch_size}; at least 1 is needed, or None.")
    encoder = in_type(encoder, dtype)
    for block in watch_windows(recording, window, overlap, progress=progress):
        values = _encode(encoder, block, time_resolved, batch_size)
        rest = tuple(range(2, values.ndim))
        # NaN is passed on by both, and no copy is made
        known = np.isfinite(values.min(axis=rest)) & np.isfinite(values.max(axis=rest))
        if not known[block.quality > 0].all():
            name = str(encoder.dtype).removeprefix("torch.")
            wide = ", or its numbers too large for that: try bfloat16" if name == "float16" else ""
            raise CheckpointError(
                f"{recording.name}: the encoder gives NaN for usable signal, in {name}; its "
                f"weights are damaged{wide}."
            )
        yield values, block.times, block.quality


def in_type(encoder: EEGFoundationModel, dtype: Any) -> EEGFoundationModel:
    """Encoder whose weights are of a type: itself for float32 (or None), else a copy.

    In bfloat16, context vectors keep a cosine of at least 0.999 with those of float32.

    Raises
    ------
    ModelInputError
        If ``dtype`` is not one of `DTYPES`.
    """
    import torch

    name = str(dtype or "float32").removeprefix("torch.")
    if name not in DTYPES:
        raise ModelInputError(f"dtype is {name}; expected one of {', '.join(DTYPES)}.")
    if name == "float32":
        return encoder
    return copy.deepcopy(encoder).to(getattr(torch, name))


def rows_per_batch(encoder: EEGFoundationModel, n_times: int) -> int:
    """How many channel windows of so many samples to encode at once."""
    n_positions = -(-n_times // encoder.config.tokens_per_position)
    kind = "cpu" if encoder.device.type == "cpu" else "other"
    return max(1, POSITIONS_PER_BATCH[kind] // n_positions)


@contextlib.contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Without gradients and dropout; a model that is being trained goes on afterwards."""
    import torch

    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def prepare(
    source: Any,
    model: str | Path | EEGFoundationModel,
    sfreq: float | None,
    ch_names: list[str] | None,
    units: str | None,
    line_freq: float | None,
) -> tuple[Recording, EEGFoundationModel]:
    """Read, load, preprocess, and note the encoder in the history."""
    from eegfoundation.models import EEGFoundationModel, fingerprint, load_encoder
    from eegfoundation.models.registry import untrained_notice
    from eegfoundation.preprocessing import preprocess
    from eegfoundation.recording import Recording, read_recording

    if not isinstance(model, str | Path | EEGFoundationModel):
        raise ModelInputError(
            f"model is of type {type(model).__name__}; expected a name, a folder, or an encoder "
            "(of a model with a head: its .encoder)."
        )
    encoder = model if isinstance(model, EEGFoundationModel) else load_encoder(model)
    if not isinstance(source, Recording):
        source = read_recording(source, sfreq=sfreq, ch_names=ch_names, units=units)
    recording = preprocess(source, encoder.preprocessing, line_freq=line_freq)
    name = model if isinstance(model, str) else encoder.config.name_or_path or "in memory"
    recording.history["encoder"] = {
        "name": Path(name).name,
        "sha256": fingerprint(encoder),
        "trained": encoder.config.trained,
    }
    if not encoder.config.trained:
        recording.history["encoder"]["notice"] = untrained_notice("The encoder")
    return recording, encoder


def _encode(
    encoder: EEGFoundationModel, block: Windows, time_resolved: bool, batch_size: int | None
) -> np.ndarray:
    """Windows (n, C, T) -> float32 (n, C, D) or (n, C, N, D)."""
    import torch

    n_windows, n_chans, n_times = block.data.shape
    rows = torch.from_numpy(block.data.reshape(n_windows * n_chans, n_times))
    parts = []
    with inference(encoder):
        for batch in rows.split(batch_size or rows_per_batch(encoder, n_times)):
            values = encoder.embed_signal(batch.to(encoder.device), time_resolved=time_resolved)
            parts.append(values.float().cpu().numpy())
    joined = np.concatenate(parts)
    return joined.reshape(n_windows, n_chans, *joined.shape[1:])


def _row_shape(
    recording: Recording, encoder: EEGFoundationModel, window: float, time_resolved: bool
) -> tuple[int, ...]:
    """Shape of one row of values, known before anything is computed."""
    if not time_resolved:
        return recording.n_chans, encoder.config.context_size
    n_times = recording.n_times
    if recording.n_epochs is None:
        n_times = min(n_times, round(window * recording.sfreq))
    n_positions = -(-n_times // encoder.config.tokens_per_position)
    return recording.n_chans, n_positions, encoder.config.hidden_size
