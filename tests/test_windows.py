"""Windows: complete, in order, the same however they are read, and honest about quality."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegfoundation.errors import PreprocessingError, RecordingError
from eegfoundation.preprocessing import Preprocessing, preprocess
from eegfoundation.recording import Recording, read_recording
from eegfoundation.windows import Windows, iter_windows, n_windows, watch_windows
from shared_data import shared_path

NAMES = ["Fp1", "F7", "T7", "Cz"]


def make(data: np.ndarray, sfreq: float = 200.0, **more: Any) -> Recording:
    """Recording of an array: (n_chans, n_times), or (n_epochs, n_chans, n_times)."""
    data = np.asarray(data, np.float32)
    fields: dict[str, Any] = {
        "name": "array",
        "ch_names": NAMES[: data.shape[-2]],
        "positions": np.full((data.shape[-2], 3), np.nan),
        "reader": lambda a, b: data[..., a:b] if data.ndim == 2 else data[a:b],
        "n_epochs": None if data.ndim == 2 else len(data),
    }
    return Recording(sfreq=sfreq, n_times=data.shape[-1], **(fields | more))


def noise(seconds: float, n_chans: int = 3, sfreq: float = 200.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 20 * rng.standard_normal((n_chans, round(seconds * sfreq))).astype(np.float32)


def together(recording: Recording, *args: float, **kwargs: float) -> Windows:
    """All windows as one object."""
    parts = list(iter_windows(recording, *args, **kwargs))
    return Windows(
        data=np.concatenate([part.data for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        quality=np.concatenate([part.quality for part in parts]),
    )


@settings(max_examples=60, deadline=None)
@given(
    n_times=st.integers(100, 12_000),
    sfreq=st.sampled_from([100.0, 128.0, 173.61, 200.0]),
    window=st.floats(0.5, 20.0),
    share=st.floats(0.0, 0.95),
    block=st.sampled_from([0.1, 7.0, 1e9]),
)
def test_windows_are_the_recording_in_order(
    n_times: int, sfreq: float, window: float, share: float, block: float
) -> None:
    x = noise(n_times / 100.0, 2, 100.0)
    recording = make(x, sfreq)
    if n_times + 0.5 < 0.5 * sfreq:
        return
    got = together(recording, window, share * window, block=block)
    assert len(got.data) == n_windows(recording, window, share * window)
    length = min(round(window * sfreq), n_times)
    step = max(1, length - round(share * window * sfreq))
    for i, (data, time) in enumerate(zip(got.data, got.times, strict=True)):
        np.testing.assert_array_equal(data, x[:, i * step : i * step + length])
        assert time == pytest.approx((i * step + length / 2) / sfreq)
    tail = n_times - (len(got.data) - 1) * step - length
    assert 0 <= tail < step or len(got.data) == 1
    assert recording.history["windows"]["tail_seconds"] == pytest.approx(tail / sfreq)
    assert (got.quality == 1).all()


def test_block_changes_nothing_after_preprocessing() -> None:
    x = noise(95.0, 3, 256.0)
    x[1, 5000:9000] = np.nan
    x[2, 15_000:] = 3.0
    recording = make(x, 256.0, bad_segments=np.array([[50.0, 53.0]]), bads=["F7"])
    chosen = Preprocessing(notch=None, artefact_uv=60.0)
    results = {}
    for block in (1.0, 25.0, 300.0):
        out = preprocess(recording, chosen)
        results[block] = together(out, 10.0, 4.0, block=block), out.history["windows"]
    whole, log = results[300.0]
    for got, other in results.values():
        np.testing.assert_allclose(got.data, whole.data, atol=1e-4)
        np.testing.assert_array_equal(got.quality, whole.quality)
        np.testing.assert_array_equal(got.times, whole.times)
        assert other == log


def test_drop_log_adds_up_to_the_quality() -> None:
    x = noise(60.0, 4)
    x[0, :700] = np.nan
    x[2] = 5.0
    x[3, 9000:9010] += 4000
    recording = make(x, bads=["F7"], bad_segments=np.array([[30.0, 33.0]]))
    out = preprocess(recording, Preprocessing(notch=None))
    got = together(out, 7.0)
    log = out.history["windows"]
    json.dumps(log)
    unusable = log["unusable"]
    assert all(unusable[why] > 0 for why in unusable)
    assert unusable["bad channel"] == 8 * 1400
    assert unusable["non-finite"] == 700
    assert unusable["flat"] == 8 * 1400
    assert unusable["BAD annotation"] == 2 * 600
    assert log["n_samples"] == got.data.size
    assert sum(unusable.values()) / log["n_samples"] == pytest.approx(1 - got.quality.mean())
    assert log["n_windows"] == log["n_done"] == 8
    assert log["tail_seconds"] == pytest.approx(4.0)
    assert log["bad_channels"] == ["F7"]


def test_quality_is_the_share_of_usable_samples() -> None:
    x = noise(40.0)
    x[0, 2000:2500] = np.nan
    x[1, 4000:6000] = np.inf
    got = together(make(x, bads=["T7"]))
    np.testing.assert_allclose(got.quality[:, 0], [1, 0.75, 1, 1])
    np.testing.assert_allclose(got.quality[:, 1], [1, 1, 0, 1])
    np.testing.assert_array_equal(got.quality[:, 2], 0)
    assert np.isnan(got.data[2, 1]).all()
    assert np.isfinite(got.data[:, 2]).all()


def test_flat_channel_is_all_nan() -> None:
    x = noise(20.0)
    x[1, :2000] = 1234.5
    x[2, :2000] = np.linspace(0, 0.09, 2000)
    recording = make(x)
    got = together(recording)
    assert np.isnan(got.data[0, 1:]).all()
    assert np.isfinite(got.data[1]).all()
    np.testing.assert_array_equal(got.quality, [[1, 0, 0], [1, 1, 1]])
    assert recording.history["windows"]["unusable"]["flat"] == 4000


def test_window_without_a_usable_sample_is_kept_and_counted() -> None:
    x = noise(30.0)
    x[:, 2000:4000] = np.nan
    recording = make(x)
    assert len(together(recording).data) == 3
    assert recording.history["windows"]["n_empty"] == 1


def test_short_recording_is_one_shorter_window() -> None:
    recording = make(noise(3.0))
    got = together(recording)
    assert got.data.shape == (1, 3, 600)
    assert got.times.tolist() == [1.5]
    assert "shorter than 10 s" in recording.history["windows"]["notes"][0]
    # an overlap longer than what there is changes nothing
    assert together(recording, 10.0, 5.0).data.shape == (1, 3, 600)


@pytest.mark.parametrize("epochs", [False, True])
def test_less_than_half_a_second_is_refused(epochs: bool) -> None:
    x = noise(0.4)
    with pytest.raises(RecordingError, match=r"at least 0\.5 s, found 0\.4 s"):
        n_windows(make(x[None] if epochs else x))


@pytest.mark.parametrize(
    ("window", "overlap", "block"),
    [
        (0.4, 0.0, 300.0),
        (float("nan"), 0.0, 300.0),
        (float("inf"), 0.0, 300.0),
        (10.0, -1.0, 300.0),
        (10.0, 10.0, 300.0),
        (10.0, float("nan"), 300.0),
        (10.0, 0.0, 0.0),
    ],
)
def test_impossible_layout_is_refused_at_the_call(
    window: float, overlap: float, block: float
) -> None:
    with pytest.raises(PreprocessingError, match="must"):
        iter_windows(make(noise(20.0)), window, overlap, block=block)


@pytest.mark.parametrize("block", [1.0, 5.0, 300.0])
def test_epochs_are_windows(block: float) -> None:
    x = noise(14.0).reshape(3, 7, 400).transpose(1, 0, 2)
    centres = np.array([3.0, 9.0, 10.0, 20.0, 31.0, 40.0, 41.5])
    got = together(make(x, epoch_times=centres), block=block)
    np.testing.assert_array_equal(got.data, x)
    np.testing.assert_array_equal(got.times, centres)
    np.testing.assert_allclose(together(make(x), block=block).times, np.arange(7) * 2 + 1)


def test_reading_the_windows_does_not_write_into_the_source() -> None:
    x = noise(20.0)
    x[0] = 1.0
    kept = x.copy()
    together(make(x))
    together(make(x.reshape(3, 2, 2000).transpose(1, 0, 2)))
    np.testing.assert_array_equal(x, kept)


def test_real_recording() -> None:
    recording = preprocess(read_recording(shared_path("formats", "eegmat_Subject30_rest.edf")))
    got = together(recording, block=60.0)
    assert len(got.data) == int(recording.duration // 10)
    assert got.data.shape[2] == 2000
    assert np.isfinite(got.data[got.quality == 1]).all()
    assert got.quality.mean() > 0.95
    sd = np.nanstd(got.data, axis=(0, 2))
    assert ((sd > 1) & (sd < 50)).all()


def test_watching_gives_the_same_windows_and_says_what_a_user_should_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recording = preprocess(make(noise(8.0)))
    (windows,) = watch_windows(recording, 10.0, progress=False)
    np.testing.assert_array_equal(windows.data, together(recording, 10.0).data)
    assert "8 s are shorter than the filter" in caplog.text
    assert "the recording is shorter than 10 s" in caplog.text
    caplog.clear()
    list(watch_windows(preprocess(make(np.zeros((3, 6000)))), 10.0, progress=False))
    assert caplog.messages == ["array: 3 of 3 windows hold no usable sample"]
