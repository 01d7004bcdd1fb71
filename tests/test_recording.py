"""Every kind of source becomes the same `Recording`: names, units, bad parts, events, history."""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegfoundation.errors import ChannelError, RecordingError, UnitsError
from eegfoundation.montage import positions
from eegfoundation.recording import Recording, read_recording
from shared_data import shared_path

if TYPE_CHECKING:
    import mne

NAMES = ["Fp1", "Cz", "T3", "EOG"]


def noise(*shape: int, sd: float = 20.0) -> np.ndarray:
    """White noise in microvolts."""
    return np.random.default_rng(0).normal(0, sd, shape)


def raw_of(
    x: np.ndarray, names: list[str] | None = None, sfreq: float = 100.0, **options: Any
) -> "mne.io.RawArray":
    """MNE object of microvolts (MNE holds volts)."""
    import mne

    info = mne.create_info(names or NAMES[: len(x)], sfreq, "eeg", verbose="ERROR")
    return mne.io.RawArray(x * 1e-6, info, verbose="ERROR", **options)


def reading(recording: Recording) -> dict[str, Any]:
    """The account of reading, which has to survive JSON."""
    account: dict[str, Any] = json.loads(json.dumps(recording.history))["reading"]
    return account


# ---- arrays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int16", "int64"])
def test_array(dtype: str) -> None:
    x = noise(3, 1000).astype(dtype)
    recording = read_recording(x, sfreq=250, ch_names=["EEG FP1-REF", "T3", "X9"])
    assert recording.name == "array"
    assert recording.ch_names == ["Fp1", "T7", "X9"]
    assert (recording.n_chans, recording.n_times, recording.duration) == (3, 1000, 4.0)
    assert recording.n_epochs is None
    assert recording.get_data().dtype == np.float32
    np.testing.assert_array_equal(recording.get_data(100, 200), x[:, 100:200].astype(np.float32))
    assert np.isfinite(recording.positions[:2]).all()
    assert reading(recording) == {
        "source": "array",
        "format": "NumPy array",
        "sfreq": 250.0,
        "units": "uV",
        "renamed": {"EEG FP1-REF": "Fp1", "T3": "T7"},
        "dropped": {},
        "bads": [],
        "positions_unknown": ["X9"],
        "n_bad_segments": 0,
        "reader_warnings": [],
        "contradictions": [],
        "notes": [],
    }


def test_array_of_epochs() -> None:
    x = noise(5, 3, 200)
    recording = read_recording(x, sfreq=100, ch_names=["Fz", "ECG", "Pz"])
    assert (recording.n_epochs, recording.n_times, recording.duration) == (5, 200, 10.0)
    assert recording.ch_names == ["Fz", "Pz"]
    np.testing.assert_array_equal(recording.get_data(1, 3), x[1:3][:, [0, 2]].astype(np.float32))
    assert recording.epoch_times is None


def test_array_without_names_has_unknown_positions_and_says_so() -> None:
    recording = read_recording(noise(2, 100), sfreq=100)
    assert recording.ch_names == ["ch1", "ch2"]
    assert np.isnan(recording.positions).all()
    assert "no ch_names were given" in reading(recording)["notes"][0]


def test_npy_file(tmp_path: Path) -> None:
    path = tmp_path / "sub-07_rest.npy"
    x = noise(2, 500)
    np.save(path, x)
    recording = read_recording(path, sfreq=100)
    assert (recording.name, recording.subject) == ("sub-07_rest.npy", "07")
    np.testing.assert_array_equal(recording.get_data(100, 300), x[:, 100:300].astype(np.float32))
    path.write_bytes(b"something else")
    with pytest.raises(RecordingError, match=r"cannot be read as a \.npy file"):
        read_recording(path, sfreq=100)
    with pytest.raises(RecordingError, match=r"absent\.npy does not exist"):
        read_recording(tmp_path / "absent.npy", sfreq=100)


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        (noise(2, 100), {}, "give it by sfreq="),
        (noise(2, 100), {"sfreq": 5}, "expected at least 10 Hz"),
        (noise(2, 100), {"sfreq": float("nan")}, "expected at least 10 Hz"),
        (noise(100), {"sfreq": 100}, r"shape \(100,\).*expected real numbers of shape"),
        (noise(1, 2, 3, 4), {"sfreq": 100}, "expected real numbers of shape"),
        (noise(2, 100) + 0j, {"sfreq": 100}, "complex128"),
        (np.array([["a", "b"]]), {"sfreq": 100}, "expected real numbers"),
        (noise(2000, 4), {"sfreq": 100}, "looks transposed"),
        (noise(2, 0), {"sfreq": 100}, "holds no samples"),
        (noise(0, 2, 100), {"sfreq": 100}, "holds no samples"),
        (noise(0, 100), {"sfreq": 100}, "no EEG channel, only nothing"),
        (noise(1, 100), {"sfreq": 100, "ch_names": ["ECG"]}, "no EEG channel"),
        ([[1.0, 2.0]], {"sfreq": 100}, "source is of type list"),
    ],
)
def test_wrong_arrays(x: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        read_recording(x, **options)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["Fp1", "FP1"], "Fp1 more than once"),
        (["T3", "T7"], "T7 more than once"),
        (["Fz"], "2 channels, but ch_names has 1 names"),
        ("Fz", "is the text 'Fz'"),
    ],
)
def test_wrong_names_for_an_array(names: Any, words: str) -> None:
    with pytest.raises(ChannelError, match=words):
        read_recording(noise(2, 100), sfreq=100, ch_names=names)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 101)])
def test_spans_outside(start: int, stop: int) -> None:
    recording = read_recording(noise(2, 100), sfreq=100)
    with pytest.raises(RecordingError, match="expected 0 <= start <= stop <= 100"):
        recording.get_data(start, stop)
    assert recording.get_data(7, 7).shape == (2, 0)


# ---- units -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "microvolts"), [("V", 1e6), ("mV", 1e3), ("nV", 1e-3)])
def test_wrong_units_are_refused_and_mended_by_the_advice(unit: str, microvolts: float) -> None:
    x = noise(4, 5000) / microvolts
    with pytest.raises(UnitsError, match=f"the numbers look like {unit}: pass units='{unit}'"):
        read_recording(x, sfreq=250)
    np.testing.assert_allclose(
        read_recording(x, sfreq=250, units=unit).get_data(), noise(4, 5000), rtol=1e-4
    )


def test_implausible_amplitudes_pass_when_the_unit_is_given() -> None:
    x = noise(2, 1000, sd=1e8)
    with pytest.raises(UnitsError, match="raw ADC counts"):
        read_recording(x, sfreq=250)
    assert reading(read_recording(x, sfreq=250, units="µV"))["units"] == "µV"
    with pytest.raises(UnitsError, match="units='volts' is unknown"):
        read_recording(x, sfreq=250, units="volts")


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan, np.inf])
def test_constant_or_missing_signal_is_no_unit_error(value: float) -> None:
    recording = read_recording(np.full((3, 1000), value), sfreq=250)
    np.testing.assert_array_equal(recording.get_data(), np.full((3, 1000), value, np.float32))


def test_units_are_judged_on_what_is_not_flat_or_missing() -> None:
    x = noise(5, 1000)
    x[:3] = 0
    x[3, ::2] = np.nan
    assert read_recording(x, sfreq=250).n_chans == 5
    x[4] *= 1e9  # one broken channel of two
    x[3] = noise(1000)
    x[2] = noise(1000) + np.linspace(0, 1e6, 1000)
    assert read_recording(np.vstack([x, noise(3, 1000)]), sfreq=250).n_chans == 8


def test_fif_that_is_off_by_a_thousand() -> None:
    path = shared_path("formats", "ssvep_exo_raw.fif")
    recording = read_recording(path, units="mV")
    assert recording.line_freq == 50.0
    assert recording.subject == "S12"
    assert 1 < np.median(recording.get_data(0, 2560).std(axis=1)) < 1000
    assert reading(recording)["units"] == "mV"


# ---- MNE Raw -----------------------------------------------------------------------------------


def test_raw_is_read_in_microvolts_and_not_modified() -> None:
    x = noise(4, 1000)
    raw = raw_of(x)
    raw.info["bads"] = ["T3"]
    raw.info["line_freq"] = 60.0
    before = raw.copy()
    recording = read_recording(raw)
    np.testing.assert_allclose(recording.get_data(), x[:3], rtol=1e-6)
    assert recording.ch_names == ["Fp1", "Cz", "T7"]
    assert recording.bads == reading(recording)["bads"] == ["T7"]
    assert recording.line_freq == 60.0
    assert recording.name == "raw"
    assert recording.subject is None
    assert reading(recording)["dropped"] == {"EOG": "eog by its name"}
    assert raw.ch_names == before.ch_names
    np.testing.assert_array_equal(raw.get_data(), before.get_data())


def test_picks_types_and_names() -> None:
    raw = raw_of(noise(4, 1000), ["Fz", "Cz", "O1", "S1"])
    raw.set_channel_types({"O1": "ecog", "S1": "misc"}, verbose="ERROR")
    assert read_recording(raw).ch_names == ["Fz", "Cz"]
    assert read_recording(raw.copy().pick(["Cz"])).ch_names == ["Cz"]
    chosen = read_recording(raw, ch_names=["O1", "FZ"])
    assert chosen.ch_names == ["O1", "Fz"]
    np.testing.assert_allclose(chosen.get_data(), noise(4, 1000)[[2, 0]], rtol=1e-6)
    assert reading(chosen)["dropped"] == {"Cz": "not chosen", "S1": "not chosen"}
    with pytest.raises(ChannelError, match="raw has no channel 'Pz': choose among Fz, Cz, O1, S1"):
        read_recording(raw, ch_names=["Pz"])


def test_given_sfreq_has_to_agree() -> None:
    raw = raw_of(noise(2, 1000))
    assert read_recording(raw, sfreq=100.0).sfreq == 100.0
    with pytest.raises(RecordingError, match="sampled at 100 Hz but sfreq=200 was given"):
        read_recording(raw, sfreq=200)


@pytest.mark.parametrize("first_samp", [0, 1234])
@pytest.mark.parametrize("meas_date", [None, 1_000_000_000])
def test_annotations_count_from_the_first_sample(first_samp: int, meas_date: int | None) -> None:
    import mne

    raw = raw_of(noise(2, 1000), first_samp=first_samp)
    raw.set_meas_date(meas_date)
    origin = 0.0 if meas_date is None else first_samp / 100
    raw.set_annotations(
        mne.Annotations(
            origin + np.array([1.0, 2.0, 5.0, 9.5, 3.0]),
            [0.5, 1.0, 0.0, 0.5, 0.0],
            ["go", "BAD_blink", "stop", "bad muscle", "BAD_point"],
            orig_time=raw.info["meas_date"],
        )
    )
    recording = read_recording(raw)
    np.testing.assert_allclose(recording.bad_segments, [[2.0, 3.0], [9.5, 10.0]])
    onsets = [onset for onset, _, _ in recording.events]
    np.testing.assert_allclose(onsets, [1.0, 5.0])
    assert [event[1:] for event in recording.events] == [(0.5, "go"), (0.0, "stop")]
    assert reading(recording)["n_bad_segments"] == 2


def test_cropping_keeps_annotations_in_place() -> None:
    import mne

    raw = raw_of(noise(2, 1000))
    raw.set_annotations(mne.Annotations([1.0, 4.0, 6.0], [1.0, 2.0, 0.0], ["BAD", "BAD_x", "hit"]))
    recording = read_recording(raw.crop(5.0, None))
    np.testing.assert_allclose(recording.bad_segments, [[0.0, 1.0]])
    assert recording.events == [(1.0, 0.0, "hit")]


def test_digitised_positions_serve_unknown_names_only() -> None:
    import mne

    raw = raw_of(noise(4, 1000), ["Fz", "X1", "X2", "Fp1-F7"])
    own = {"Fz": [0.09, 0.0, 0.0], "X1": [0.0, 0.09, 0.01], "X2": [9.0, 0.0, 0.0]}
    raw.set_montage(mne.channels.make_dig_montage(own, coord_frame="head"), on_missing="ignore")
    recording = read_recording(raw)
    np.testing.assert_allclose(recording.positions[1], own["X1"])
    assert np.isnan(recording.positions[2]).all()  # nine metres from the head
    np.testing.assert_allclose(recording.positions[0], positions(["Fz"])[0])
    assert reading(recording)["positions_unknown"] == ["X2"]


# ---- MNE Epochs --------------------------------------------------------------------------------


def epochs_of(raw: "mne.io.BaseRaw", **options: Any) -> "mne.Epochs":
    import mne

    events = np.column_stack([[100, 300, 500, 700], np.zeros(4, int), np.ones(4, int)])
    return mne.Epochs(raw, events, tmin=-0.5, tmax=0.5, baseline=None, verbose="ERROR", **options)


@pytest.mark.parametrize("preload", [True, False])
def test_epochs(preload: bool) -> None:
    raw = raw_of(noise(4, 1000))
    raw._data[0, 290:310] = 1e-3  # the second epoch is rejected
    raw.info["bads"] = ["Cz"]
    epochs = epochs_of(raw, preload=preload, reject={"eeg": 5e-4}, picks="all")
    recording = read_recording(epochs)
    assert epochs.preload is preload
    assert recording.name == "epochs"
    assert (recording.n_epochs, recording.n_times) == (3, 101)
    assert recording.ch_names == ["Fp1", "Cz", "T7"]
    assert recording.bads == ["Cz"]
    assert recording.epoch_times is not None
    np.testing.assert_allclose(recording.epoch_times, [1.0, 5.0, 7.0])
    whole = recording.get_data()
    np.testing.assert_allclose(whole[1], noise(4, 1000)[:3, 450:551], rtol=1e-5)
    np.testing.assert_array_equal(recording.get_data(1, 3), whole[1:])


def test_epochs_file_is_read_by_epoch(tmp_path: Path) -> None:
    path = tmp_path / "sub-pt3" / "x-epo.fif"
    path.parent.mkdir()
    epochs = epochs_of(raw_of(noise(3, 1000)), preload=True)
    epochs.drop([0], verbose="ERROR")
    epochs.save(path, verbose="ERROR")
    recording = read_recording(path)
    assert (recording.n_epochs, recording.subject) == (3, "pt3")
    np.testing.assert_allclose(recording.get_data(1, 2), epochs.get_data()[1:2] * 1e6, rtol=1e-5)
    assert reading(recording)["format"] == "FIF"
    assert reading(recording)["reader_warnings"] == []


def test_epochs_without_events_have_no_times() -> None:
    import mne

    info = mne.create_info(["Fz", "Cz"], 100.0, "eeg", verbose="ERROR")
    epochs = mne.EpochsArray(noise(4, 2, 100) * 1e-6, info, verbose="ERROR")
    assert read_recording(epochs).epoch_times is None
    epochs.drop([1], verbose="ERROR")
    assert read_recording(epochs).epoch_times is None


# ---- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["eegmat_Subject30_arithmetic.edf", "test_bdf_stim_channel.bdf", "test_reduced.edf",
     "test_CNT_events_mne_JWoess_clipped.cnt", "test_CA_208.cnt", "bv_dig_test.vhdr",
     "MB0400FU.EEG", "egi_dig_test.raw", "test_raw_chanloc.set", "test_epochs_onefile.set"],
)  # fmt: skip
def test_pieces_equal_the_whole(name: str) -> None:
    recording = read_recording(shared_path("formats", name))
    whole = recording.get_data()
    axis = 0 if recording.n_epochs else 1
    cuts = [0, 1, whole.shape[axis] // 3, whole.shape[axis]]
    pieces = [recording.get_data(a, b) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=axis), whole)


def test_a_long_file_is_not_loaded(tmp_path: Path) -> None:
    import tracemalloc

    x = np.tile(noise(8, 1000), 500)  # 16 MB as float32 in the file
    raw_of(x, [f"ch{i}" for i in range(8)]).save(tmp_path / "long_raw.fif", verbose="ERROR")
    del x
    read_recording(tmp_path / "long_raw.fif")  # MNE's own imports do not count
    tracemalloc.start()
    try:
        recording = read_recording(tmp_path / "long_raw.fif")
        np.testing.assert_allclose(
            recording.get_data(400_000, 401_000), noise(8, 1000), rtol=1e-5, atol=1e-5
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert recording.duration == 5000.0
    assert peak < 6e6


def test_events_of_an_edf_file() -> None:
    recording = read_recording(shared_path("formats", "test_utf8_annotations.edf"))
    assert "仰卧" in [text for _, _, text in recording.events]


def test_subject_is_a_code_and_never_a_name(tmp_path: Path) -> None:
    def subject(path: str, code: str = "", name: str = "Doe") -> str | None:
        raw = raw_of(noise(2, 100))
        raw.info["subject_info"] = {"his_id": code, "last_name": name}
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        raw.save(file, overwrite=True, verbose="ERROR")
        recording = read_recording(file)
        assert "Doe" not in repr(recording.history)
        assert str(tmp_path) not in repr(recording.history)
        return recording.subject

    assert subject("sub-03/eeg/sub-03_task-rest_raw.fif", "A17") == "03"
    assert subject("plain_raw.fif", "A17") == "A17"
    for unusable in ("", "X", "0", "Doe"):
        assert subject("plain_raw.fif", unusable) is None
