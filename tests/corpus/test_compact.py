from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eegfoundation.corpus.compact import read_compact
from eegfoundation.errors import ChannelError, RecordingError
from shared_data import shared_path


def test_microvolts_events_and_subject(tmp_path: Path, write_compact: Callable[..., Path]) -> None:
    path = write_compact(
        tmp_path / "a.npz",
        dc_uv=np.float32([0, 7]),
        event_onset=np.array([256, 512]),
        event_desc=np.array(["left", "right"]),
    )
    recording = read_compact(path)
    with np.load(path) as file:
        expected = file["x"] * 0.05 + np.array([[0], [7]])
    np.testing.assert_allclose(recording.get_data(), expected, atol=1e-4)
    assert recording.events == [(1.0, 0.0, "left"), (2.0, 0.0, "right")]
    assert (recording.name, recording.subject, recording.sfreq) == ("a.npz", "S1", 256)
    assert recording.history["reading"]["source"] == "a.npz"
    assert read_compact(path, ch_names=["C4"]).ch_names == ["C4"]
    with pytest.raises(ChannelError, match="no channel 'Cz'"):
        read_compact(path, ch_names=["Cz"])


def test_other_npz_files_are_refused(tmp_path: Path, write_compact: Callable[..., Path]) -> None:
    np.savez(tmp_path / "other.npz", y=np.zeros(3))
    with pytest.raises(RecordingError, match="has no ch_names, scale_uv, sfreq, x"):
        read_compact(tmp_path / "other.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4 and no more")
    for name, said in (("broken.npz", "cannot be read"), ("absent.npz", "does not exist")):
        with pytest.raises(RecordingError, match=said):
            read_compact(tmp_path / name)
    with pytest.raises(RecordingError, match=r"scale_uv has shape \(1,\)"):
        read_compact(write_compact(tmp_path / "short.npz", scale_uv=np.float32([1])))


def test_real_recording_of_which_not_every_channel_is_eeg() -> None:
    recording = read_compact(shared_path("compact", "eegmat", "Subject00_rest.npz"))
    assert (recording.n_chans, recording.sfreq, recording.subject) == (19, 250, "Subject00")
    assert set(recording.history["reading"]["dropped"]) == {"ECG", "A2-A1"}
