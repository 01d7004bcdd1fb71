"""From a recording to token files: what a model reads, for those who bring their own model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.batch import each_file
from eegfoundation.outputs import NpzWriter, new_file, write_json
from eegfoundation.tokenizer import AmplitudeTokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator


def tokenize_files(
    files: list[str],
    out: str,
    scaling: str = "asinh",
    window: float = 10.0,
    overlap: float = 0.0,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
    line_freq: float | None = None,
    overwrite: bool = False,
) -> None:
    """Turn recordings into tokens: one .npz per file, with what is needed to decode it.

    Parameters
    ----------
    files : list of str
        Recordings, in any format that is read.
    out : str
        Folder for <name>_tokens.npz and <name>_tokens.preprocessing.json.
    scaling : str
        "asinh" (absolute amplitude) or "minmax" (the published scheme).
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
    overwrite : bool
        Replace existing results.
    """
    settings = dict(locals())

    from eegfoundation.preprocessing import preprocess
    from eegfoundation.recording import read_recording
    from eegfoundation.windows import n_windows, watch_windows

    tokenizer = AmplitudeTokenizer.from_dict({"scaling": scaling})

    def work(file: str, path: Path, overwrite: bool) -> None:
        source = read_recording(file, sfreq=sfreq, ch_names=ch_names, units=units)
        recording = preprocess(source, line_freq=line_freq)
        n_rows = n_windows(recording, window, overlap)
        n_times = recording.n_times
        if recording.n_epochs is None:
            n_times = min(n_times, round(window * recording.sfreq))
        scale: list[np.ndarray] = []
        offset: list[np.ndarray] = []

        def ids() -> Iterator[np.ndarray]:
            for block in watch_windows(recording, window, overlap):
                block_ids, state = tokenizer.encode(block.data)
                scale.append(state.scale)
                offset.append(state.offset)
                yield block_ids

        with new_file(path, overwrite=overwrite) as unfinished:
            with NpzWriter(unfinished) as npz:
                npz.add_rows("input_ids", (n_rows, recording.n_chans, n_times), np.int16, ids())
                npz.add("scale", np.concatenate(scale))
                npz.add("offset", np.concatenate(offset))
                npz.add("ch_names", np.array(recording.ch_names))
                npz.add("tokenizer", json.dumps(tokenizer.to_dict()))
            history = {**recording.history, "tokenizer": tokenizer.to_dict()}
            write_json(path.with_suffix(".preprocessing.json"), history, overwrite=True)
        print(f"{path}: {n_rows} windows, {recording.n_chans} channels, {n_times} tokens each")

    each_file(files, work, out=out, ending="_tokens.npz", settings=settings)
