"""EGI's simple binary form: what is announced has to be there."""

import struct

import numpy as np
import pytest

from eegfoundation import read_recording
from eegfoundation.errors import RecordingError

N_CHANS, N_SAMPLES = 8, 500


def write(path, n_samples=N_SAMPLES, version=2, n_events=1):
    """Whole numbers, float or double by version; `n_samples` is what the header says."""
    x = np.random.default_rng(0).integers(-99, 99, (N_SAMPLES, N_CHANS + n_events))
    x[:, N_CHANS:] = 0
    x[10, N_CHANS:] = 1
    head = struct.pack(">i6hi", version, 2020, 1, 1, 0, 0, 0, 0)
    head += struct.pack(">5hih", 250, N_CHANS, 0, 0, 0, n_samples, n_events) + b"DIN1" * n_events
    path.write_bytes(head + x.astype({2: ">i2", 4: ">f4", 6: ">f8"}[version]).tobytes())
    return path


@pytest.mark.parametrize("version", [2, 4, 6])
def test_what_is_there_is_read(tmp_path, version):
    recording = read_recording(write(tmp_path / "x.raw", version=version), units="uV")
    assert (recording.n_chans, recording.sfreq, recording.n_times) == (N_CHANS, 250, N_SAMPLES)


@pytest.mark.parametrize("version", [2, 4, 6])
@pytest.mark.parametrize("n_samples", [N_SAMPLES + 20, 2**31 - 1])
def test_what_is_not_there_is_refused(tmp_path, version, n_samples):
    path = write(tmp_path / "x.raw", n_samples, version)
    with pytest.raises(RecordingError, match=rf"announces {n_samples} samples of 8 channels"):
        read_recording(path)
