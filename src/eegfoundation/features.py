"""What a frozen encoder makes of labelled windows: computed once, then read from disk.

An encoder that is not trained gives the same vectors every time, and on a laptop they are what
takes long. They are kept under a name made of everything that decides them: the bytes of the
windows and the encoder's fingerprint. Another recording, setting or weight has another name, so
nothing stale is ever read. The folder, ``~/.cache/eegfoundation`` or what ``EEGFOUNDATION_CACHE``
says, may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.embedding import inference, rows_per_batch
from eegfoundation.errors import TaskError
from eegfoundation.outputs import NpzWriter, new_file

if TYPE_CHECKING:
    from eegfoundation.models import EEGFoundationModel
    from eegfoundation.preprocessing import Preprocessing


def cache_folder() -> Path:
    """Folder of what was computed before."""
    given = os.environ.get("EEGFOUNDATION_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "eegfoundation"


def context_vectors(
    x: np.ndarray,
    preprocessing: Preprocessing,
    encoder: EEGFoundationModel,
    *,
    cache: bool = True,
    progress: bool | None = None,
    label: str = "encoding",
) -> np.ndarray:
    """Context vector of every channel of every window.

    Parameters
    ----------
    x : ndarray, shape (n, n_chans, n_times)
        Microvolts, NaN where unusable.
    preprocessing : Preprocessing
        What was done to the signal.
    encoder : EEGFoundationModel
    cache : bool
        Read what was computed before, keep what was not.
    progress : bool | None
        Show a progress bar; None: only on a terminal.
    label : str
        Of the bar.

    Returns
    -------
    context : ndarray, shape (n, n_chans, E)
        float32; NaN for a channel without any usable sample.

    Raises
    ------
    TaskError
        If the signal was not preprocessed as the encoder expects.
    """
    import torch
    from tqdm.auto import tqdm

    from eegfoundation.preprocessing import DECISIVE_SETTINGS

    ours, its = preprocessing.to_dict(), encoder.preprocessing.to_dict()
    if different := [name for name in DECISIVE_SETTINGS if ours[name] != its[name]]:
        found, expected = (", ".join(f"{n}={d[n]!r}" for n in different) for d in (ours, its))
        raise TaskError(
            f"The windows were preprocessed with {found}, the encoder expects {expected}; load "
            "them with encoder.preprocessing."
        )
    x = np.ascontiguousarray(x, dtype=np.float32)
    path = cache_folder() / f"{_name(x, encoder)}.npz"
    if cache and path.exists() and (known := read_kept(path)) is not None:
        return known["context"]
    step = max(1, rows_per_batch(encoder, x.shape[-1]) // x.shape[1])
    result = np.empty((*x.shape[:2], encoder.config.context_size), dtype=np.float32)
    disable = None if progress is None else not progress
    with inference(encoder), tqdm(total=len(x), desc=label, unit="window", disable=disable) as bar:
        for first in range(0, len(x), step):
            batch = torch.from_numpy(x[first : first + step]).to(encoder.device)
            result[first : first + step] = encoder.embed_signal(batch).float().cpu().numpy()
            bar.update(len(batch))
    if cache:
        # another process may have been faster: the content is the same
        with new_file(path, overwrite=True) as unfinished, NpzWriter(unfinished) as npz:
            npz.add("context", result)
    return result


def read_kept(path: Path) -> dict[str, np.ndarray] | None:
    """Arrays of a file; None if it is damaged, which the checksum in every .npz tells.

    Warns
    -----
    UserWarning
        If it is damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file}
    except Exception:  # a damaged zip fails with anything from KeyError to zlib.error
        warnings.warn(f"{path} is damaged and is computed anew.", stacklevel=3)
        return None


def _name(x: np.ndarray, encoder: EEGFoundationModel) -> str:
    """Digest of everything that decides the vectors."""
    from eegfoundation.models import fingerprint

    digest = hashlib.sha256(fingerprint(encoder).encode())
    digest.update(repr(x.shape).encode())
    digest.update(x.tobytes())
    return digest.hexdigest()
