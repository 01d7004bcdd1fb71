"""Preprocessing: equal to MNE, equal in pieces, honest about what cannot be trusted."""

import copy
import json
from typing import Any

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegfoundation.errors import ConfigError, PreprocessingError
from eegfoundation.preprocessing import (
    PreprocessedReader,
    Preprocessing,
    detect_line_freq,
    preprocess,
)
from eegfoundation.quality import ARTEFACT, BAD_ANNOTATION, FLAT, NON_FINITE
from eegfoundation.recording import Recording
from eegfoundation.rereferencing import REFERENCES
from shared_data import shared_path

NOTHING = Preprocessing(highpass=None, lowpass=None, notch=None, artefact_uv=None)
RATES = (125.0, 128.0, 160.0, 173.61, 200.0, 250.0, 256.0, 500.0, 512.0, 1000.0, 2048.0)
NAMES = ["Fp1", "F7", "T7", "Cz"]


def make(data: np.ndarray, sfreq: float, **more: Any) -> Recording:
    """Recording of an array: (n_chans, n_times), or (n_epochs, n_chans, n_times)."""
    data = np.asarray(data, np.float32)
    n_chans = data.shape[-2]
    fields: dict[str, Any] = {
        "name": "array",
        "ch_names": NAMES[:n_chans],
        "positions": np.arange(3.0 * n_chans).reshape(n_chans, 3),
        "reader": lambda a, b: data[..., a:b] if data.ndim == 2 else data[a:b],
        "n_epochs": None if data.ndim == 2 else len(data),
        "epoch_times": None,
        "bads": [],
        "bad_segments": np.zeros((0, 2)),
        "events": [],
        "subject": None,
        "line_freq": None,
        "history": {},
    }
    return Recording(sfreq=sfreq, n_times=data.shape[-1], **fields | more)


def eeg(sfreq: float, seconds: float, n_chans: int = 3, seed: int = 0) -> np.ndarray:
    """Pink-ish noise with alpha, 50 Hz and a drifting offset, about 30 microvolts SD."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sfreq)) / sfreq
    x = np.cumsum(rng.standard_normal((n_chans, t.size)), axis=1) * 20 / np.sqrt(sfreq)
    x += rng.standard_normal((n_chans, t.size))
    x += 10 * np.sin(2 * np.pi * 10 * t) + 15 * np.sin(2 * np.pi * 50 * t + 1)
    return np.asarray(x)


def interior(x: np.ndarray, sfreq: float = 200.0, seconds: float = 12.0) -> np.ndarray:
    n = round(seconds * sfreq)
    inner: np.ndarray = x[..., n:-n]
    return inner


def said(recording: Recording) -> dict[str, Any]:
    done: dict[str, Any] = recording.history["preprocessing"]
    return done


# --- settings


def test_settings_travel_through_json() -> None:
    chosen = Preprocessing(sfreq=250, highpass=None, notch=60.0, reference="average")
    assert Preprocessing.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


def test_unknown_setting_is_an_error() -> None:
    with pytest.raises(ConfigError, match="low_pass"):
        Preprocessing.from_dict({"low_pass": 40.0})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sfreq", 0),
        ("sfreq", None),
        ("sfreq", float("nan")),
        ("highpass", -0.3),
        ("highpass", 80.0),
        ("lowpass", "75"),
        ("lowpass", 95.0),
        ("notch", "mains"),
        ("notch", True),
        ("notch", 1e-320),  # its multiples cannot be counted
        ("reference", "linked ears"),
        ("artefact_uv", 0.0),
        ("artefact_uv", 10**400),  # more than a float holds
    ],
)
def test_impossible_setting_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must"):
        Preprocessing(**{name: value})


# --- filtering and resampling


@pytest.mark.parametrize("sfreq", [160.0, 250.0, 256.0, 512.0])
def test_equals_mne_chain(sfreq: float) -> None:
    x = eeg(sfreq, 60.0)
    lowpass = min(75.0, 0.45 * sfreq)
    raw = mne.io.RawArray(x * 1e-6, mne.create_info(3, sfreq, "eeg"), verbose="error")
    raw.notch_filter(50.0, verbose="error").filter(0.3, lowpass, verbose="error")
    expected = raw.resample(200.0, method="polyphase", verbose="error").get_data() * 1e6
    ours = preprocess(make(x, sfreq), line_freq=50.0).get_data()
    assert ours.shape == expected.shape
    difference = interior(ours - expected)
    assert np.sqrt((difference**2).mean()) <= 0.01 * interior(expected).std()


@pytest.mark.parametrize("sfreq", RATES)
def test_frequency_response(sfreq: float) -> None:
    """Pass band within 0.5 dB, mains and what would alias at least 40 dB down, no phase shift."""
    seconds, impulse_s = 40.0, 20.0
    chosen = Preprocessing(artefact_uv=None, notch=50.0)
    x = np.random.default_rng(0).standard_normal((2, round(seconds * sfreq)))
    k = round(impulse_s * sfreq)
    x[1] = x[0]  # an impulse in silence would be taken for a dead channel
    x[1, k] += 1000.0 * sfreq / 200.0
    out = np.diff(preprocess(make(x, sfreq), chosen).get_data(), axis=0)[0]
    freqs = np.fft.rfftfreq(out.size, 1 / 200.0)
    response = np.fft.rfft(out.astype(float)) * np.exp(2j * np.pi * freqs * k / sfreq) / 1000.0
    level = 20 * np.log10(np.maximum(np.abs(response), 1e-9))
    top = min(75.0, 0.45 * sfreq)
    passed = (freqs >= 0.6) & (freqs <= top - 2) & (np.abs(freqs - 50) > 1.2)
    assert np.abs(level[passed]).max() < 0.5
    assert np.abs(np.angle(response[passed])).max() < 0.01
    assert level[np.abs(freqs - 50) < 0.1].max() < -40
    stop = min(93.75, sfreq / 2) if sfreq > 160 else sfreq / 2
    assert level[(freqs > stop + 0.5) | (freqs < 0.01)].max() < -40


@pytest.mark.parametrize("sfreq", [rate for rate in RATES if rate > 220])
def test_no_aliasing(sfreq: float) -> None:
    """A sine above the new Nyquist frequency leaves nothing."""
    t = np.arange(round(40 * sfreq)) / sfreq
    freq = 0.47 * sfreq
    for chosen in (Preprocessing(notch=None), Preprocessing(lowpass=None, notch=None)):
        out = preprocess(make(100 * np.sin(2 * np.pi * freq * t)[None], sfreq), chosen).get_data()
        assert np.abs(interior(out)).max() < 1.0


@pytest.mark.parametrize("target", [100.0, 128.0, 200.0, 256.0])
@pytest.mark.parametrize("sfreq", [173.61, 250.0, 256.0, 1000.0])
def test_sine_keeps_its_phase(sfreq: float, target: float) -> None:
    """Sample k of the result lies at k / sfreq seconds."""
    t = np.arange(round(40 * sfreq)) / sfreq
    chosen = Preprocessing(sfreq=target, lowpass=40.0, notch=None)
    out = preprocess(make(100 * np.sin(2 * np.pi * 10 * t)[None], sfreq), chosen)
    assert out.n_times == int(np.ceil(t.size * target / sfreq))
    expected = 100 * np.sin(2 * np.pi * 10 * np.arange(out.n_times) / target)
    np.testing.assert_allclose(
        interior(out.get_data()[0], target), interior(expected, target), atol=0.5
    )


def test_nothing_asked_is_identity() -> None:
    x = eeg(200.0, 2.0).astype(np.float32)
    out = preprocess(make(x, 200.0), NOTHING).get_data()
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("name", ["highpass", "lowpass", "notch"])
@pytest.mark.parametrize("sfreq", [160.0, 200.0, 512.0])
def test_each_filter_can_be_left_out(name: str, sfreq: float) -> None:
    off: dict[str, Any] = {name: None}
    chosen = Preprocessing(**off)
    out = preprocess(make(eeg(sfreq, 30.0), sfreq), chosen)
    assert np.isfinite(out.get_data()).all()
    assert not said(out)[name]


def test_offset_of_an_amplifier_costs_no_microvolts() -> None:
    x = eeg(256.0, 30.0)
    small = preprocess(make(x, 256.0), line_freq=50.0).get_data()
    large = preprocess(make(x + 1e5, 256.0), line_freq=50.0).get_data()
    # float32 itself resolves 0.008 microvolts at 100 mV
    np.testing.assert_allclose(large, small, atol=0.05)


# --- pieces equal the whole


# Bound: 1e-4 microvolts, and the float32 resolution of the signal where that is coarser (unfiltered
# offsets). A reader may compute other FFT lengths for a piece than for the whole.


@pytest.mark.parametrize("sfreq", RATES)
def test_pieces_equal_whole(sfreq: float) -> None:
    recording = make(eeg(sfreq, 45.0, n_chans=2), sfreq)
    out = preprocess(recording, line_freq=50.0)
    whole = out.get_data()

    @settings(max_examples=12, deadline=None)
    @given(st.tuples(st.integers(0, out.n_times), st.integers(0, out.n_times)).map(sorted))
    def check(span: list[int]) -> None:
        a, b = span
        np.testing.assert_allclose(out.get_data(a, b), whole[:, a:b], atol=1e-4, rtol=0)

    check()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_pieces_equal_whole_with_gaps(data: st.DataObject) -> None:
    """Gaps of any length, flat stretches and a reference change nothing in this."""
    sfreq = data.draw(st.sampled_from([100.0, 173.61, 250.0]))
    x = eeg(sfreq, 40.0, n_chans=3, seed=data.draw(st.integers(0, 9)))
    n = x.shape[1]
    for _ in range(data.draw(st.integers(1, 3))):
        row, first = data.draw(st.integers(0, 2)), data.draw(st.integers(0, n - 1))
        length = data.draw(st.sampled_from([1, 5, 200, 1500, 3000, n]))
        x[row, first : first + length] = data.draw(st.sampled_from([np.nan, np.inf, 7.0]))
    chosen = Preprocessing(
        highpass=data.draw(st.sampled_from([None, 1.0, 4.0])),
        lowpass=40.0,
        notch=data.draw(st.sampled_from([None, 50.0])),
        reference=data.draw(st.sampled_from(REFERENCES)),
        artefact_uv=None,
    )
    out = preprocess(make(x, sfreq), chosen)
    a, b = sorted(data.draw(st.tuples(*[st.integers(0, out.n_times)] * 2)))
    bound = 1e-4 + 1e-6 * np.abs(x[np.isfinite(x)]).max(initial=0)
    np.testing.assert_allclose(out.get_data(a, b), out.get_data()[:, a:b], atol=bound, rtol=0)


def test_long_reads_are_put_together_from_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    out = preprocess(make(eeg(256.0, 50.0), 256.0), line_freq=50.0)
    whole = out.get_data()
    monkeypatch.setattr("eegfoundation.preprocessing._BLOCK_SECONDS", 7.0)
    np.testing.assert_allclose(out.get_data(), whole, atol=1e-4, rtol=0)


# --- samples that cannot be trusted


def test_non_finite_samples_stay_where_they_are() -> None:
    clean = eeg(200.0, 40.0)
    x = clean.copy()
    x[0, 4000:4010] = np.nan
    x[1, 3000] = np.inf
    x[2] = np.nan
    out = preprocess(make(x, 200.0), line_freq=50.0).get_data()
    expected = np.isfinite(x)
    np.testing.assert_array_equal(np.isfinite(out), expected)
    # bridged by a line, the gap disturbs its surroundings by little
    reference = preprocess(make(clean, 200.0), line_freq=50.0).get_data()
    error = np.abs(out - reference)[0]
    assert np.nanmax(error) < 10
    assert np.nanmedian(error) < 0.2


@pytest.mark.parametrize("huge", [1.1e9, 3e38, -3e38, np.inf])
def test_beyond_a_kilovolt_nothing_is_measured(huge: float) -> None:
    """In either end, too, where the signal is continued by its reflection."""
    x = np.float32(eeg(200.0, 40.0))
    x[0, [0, 4000, -1]] = huge
    x[1, 2000:2600] = huge
    gaps = np.where(np.abs(x) > 1e9, np.nan, x)
    reader = preprocess(make(x, 200.0), line_freq=50.0).reader
    expected = preprocess(make(gaps, 200.0), line_freq=50.0).get_data()
    assert isinstance(reader, PreprocessedReader)
    data, causes = reader.read(0, x.shape[1])
    np.testing.assert_array_equal(data, expected)
    assert causes is not None
    np.testing.assert_array_equal(causes == NON_FINITE, np.isnan(gaps))


def test_bad_segments_and_artefacts_become_nan_with_their_cause() -> None:
    x = eeg(250.0, 40.0)
    t = np.arange(x.shape[1]) / 250.0
    x[1] += 3000 * np.exp(-0.5 * ((t - 20) / 0.1) ** 2)
    recording = make(x, 250.0, bad_segments=np.array([[5.0, 6.5], [39.0, 99.0]]))
    reader = preprocess(recording, line_freq=50.0).reader
    assert isinstance(reader, PreprocessedReader)
    data, causes = reader.read(0, 8000)
    assert causes is not None
    times = np.arange(8000) / 200.0
    bad = ((times >= 5) & (times < 6.5)) | (times >= 39)
    np.testing.assert_array_equal(causes == BAD_ANNOTATION, np.tile(bad, (3, 1)))
    np.testing.assert_array_equal(np.isnan(data), causes > 0)
    assert not (causes[[0, 2]] > BAD_ANNOTATION).any()
    marked = times[causes[1] == ARTEFACT]
    assert 19.7 < marked.min() < marked.max() < 20.3
    assert np.nanmax(np.abs(data)) <= 500


def test_clean_data_has_no_causes() -> None:
    reader = preprocess(make(eeg(250.0, 20.0), 250.0)).reader
    assert isinstance(reader, PreprocessedReader)
    assert reader.read(100, 900)[1] is None


# --- references


@pytest.mark.parametrize(("name", "n_zero"), [("average", 0), ("soft average", 2)])
def test_average_reference_uses_the_good_usable_channels(name: str, n_zero: int) -> None:
    """The soft one counts two electrodes at zero with them; bad channels are re-referenced too."""
    x = eeg(200.0, 40.0, n_chans=4)
    x[3] = 100 * np.sin(np.arange(x.shape[1]))
    for gap in (slice(0, 0), slice(3000, 4000)):
        x[1, gap] = np.nan
        recording = make(x, 200.0, bads=["Cz"])
        plain = preprocess(recording, Preprocessing(notch=None)).get_data()
        out = preprocess(recording, Preprocessing(notch=None, reference=name))
        n_usable = np.isfinite(plain[:3]).sum(axis=0)
        assert n_usable[3500] == (2 if gap.stop else 3)
        mean = np.nansum(plain[:3], axis=0) / (n_usable + n_zero)
        np.testing.assert_allclose(out.get_data(), plain - mean, atol=1e-4)
        assert (out.ch_names, out.bads) == (recording.ch_names, ["Cz"])
        assert said(out)["reference"] == name


@pytest.mark.parametrize("name", ["average", "soft average"])
def test_a_bad_channel_has_no_reference_where_no_good_one_is_usable(name: str) -> None:
    x = eeg(200.0, 40.0, n_chans=4)
    x[:3, 3000:4000] = np.nan
    out = preprocess(
        make(x, 200.0, bads=["Cz"]), Preprocessing(notch=None, reference=name)
    ).get_data()
    lost = (np.arange(x.shape[1]) >= 3000) & (np.arange(x.shape[1]) < 4000)
    np.testing.assert_array_equal(np.isnan(out), np.tile(lost, (4, 1)))


@pytest.mark.parametrize("name", ["average", "soft average"])
def test_bipolar_channels_take_no_part_in_an_average(name: str) -> None:
    recording = make(eeg(200.0, 20.0, n_chans=3), 200.0, ch_names=["Fp1", "Fp2-F8", "Cz"])
    out = preprocess(recording, Preprocessing(notch=None, reference=name))
    plain = preprocess(recording, Preprocessing(notch=None)).get_data()
    expected = plain.copy()
    expected[[0, 2]] -= plain[[0, 2]].sum(axis=0) / (2 if name == "average" else 4)
    np.testing.assert_allclose(out.get_data(), expected, atol=1e-4)
    assert "bipolar channels left as recorded: ['Fp2-F8']" in said(out)["notes"]


@pytest.mark.parametrize(
    "fields",
    [
        {"ch_names": ["Cz"]},
        {"ch_names": ["Cz", "Oz"], "bads": ["Oz"]},
        {"ch_names": ["Fp1-F7", "F7-T7"]},
        {"ch_names": ["Fp1-F7", "F7-T7", "Cz"]},
    ],
    ids=str,
)
def test_soft_average_leaves_what_cannot_be_averaged_and_says_so(fields: dict[str, Any]) -> None:
    recording = make(eeg(200.0, 20.0, n_chans=len(fields["ch_names"])), 200.0, **fields)
    out = preprocess(recording, Preprocessing(notch=None, reference="soft average"))
    plain = preprocess(recording, Preprocessing(notch=None))
    np.testing.assert_array_equal(out.get_data(), plain.get_data())
    note = "fewer than 2 channels to average: left as recorded"
    assert note in said(out)["notes"]
    assert note not in said(plain)["notes"]


def test_flat_channel_does_not_come_alive() -> None:
    x = eeg(250.0, 40.0, n_chans=4)
    x[2] = 12.0
    x[1, 5000:7500] = -3.0
    for reference in REFERENCES:
        out = preprocess(make(x, 250.0), Preprocessing(notch=None, reference=reference))
        assert isinstance(out.reader, PreprocessedReader)
        data, causes = out.reader.read(0, out.n_times)
        assert causes is not None
        dead = out.ch_names.index("F7-T7" if reference == "bipolar" else "T7")
        partly = out.ch_names.index("Fp1-F7" if reference == "bipolar" else "F7")
        assert np.isnan(data[dead]).all()
        assert (causes[dead] == FLAT).all()
        nan = np.isnan(data[partly])
        assert nan[4000:6000].all()
        assert not nan[:4000].any()
        assert not nan[6000:].any()


def test_bipolar_reference() -> None:
    x = eeg(200.0, 40.0, n_chans=4)
    recording = make(x, 200.0, bads=["T7"])
    out = preprocess(recording, Preprocessing(notch=None, reference="bipolar"))
    plain = preprocess(recording, Preprocessing(notch=None)).get_data()
    assert out.ch_names == ["Fp1-F7", "F7-T7"]
    assert out.bads == ["F7-T7"]
    np.testing.assert_allclose(out.get_data(), plain[:2] - plain[1:3], atol=1e-4)
    np.testing.assert_allclose(
        out.positions, (recording.positions[:2] + recording.positions[1:3]) / 2
    )
    assert "Cz" in " ".join(said(out)["notes"])


def test_reference_that_cannot_be_made_is_refused() -> None:
    x = eeg(200.0, 20.0, n_chans=2)
    recording = make(x, 200.0, ch_names=["Cz", "Oz"])
    with pytest.raises(PreprocessingError, match=r"Fp1 and F7, found Cz, Oz"):
        preprocess(recording, Preprocessing(reference="bipolar"))
    recording = make(x, 200.0, bads=["F7"])
    with pytest.raises(PreprocessingError, match="at least 2 good channels"):
        preprocess(recording, Preprocessing(reference="average"))


def test_bipolar_recording() -> None:
    recording = make(eeg(200.0, 20.0, n_chans=2), 200.0, ch_names=["Fp1-F7", "F7-T7"])
    out = preprocess(recording, Preprocessing(reference="bipolar"))
    assert out.ch_names == recording.ch_names
    assert "bipolar already" in said(out)["notes"][-1]
    with pytest.raises(PreprocessingError, match="average"):
        preprocess(recording, Preprocessing(reference="average"))


# --- short signals and epochs


def test_short_recording_is_centred_and_says_so() -> None:
    x = eeg(250.0, 5.0) + 300
    x[0, :50] = np.nan
    out = preprocess(make(x, 250.0), line_freq=50.0)
    data = out.get_data()
    assert np.abs(np.nanmean(data, axis=1)).max() < 3
    notes = " ".join(said(out)["notes"])
    assert "not high-passed: 5 s are shorter than the filter (11 s" in notes
    assert "flanks of 1.32 Hz" in notes
    assert said(out)["highpass"] is None
    assert said(out)["notch"] == [50.0]
    np.testing.assert_allclose(out.get_data(300, 400), data[:, 300:400], atol=1e-4)


def test_very_short_recording_has_no_notch() -> None:
    out = preprocess(make(eeg(250.0, 0.6), 250.0), line_freq=50.0)
    assert np.isfinite(out.get_data()).all()
    assert said(out)["notch"] == []
    assert "too short" in " ".join(said(out)["notes"])


@pytest.mark.parametrize("seconds", [2.0, 20.0])
def test_epoch_equals_a_recording_of_its_own(seconds: float) -> None:
    x = np.stack([eeg(256.0, seconds, seed=seed) for seed in range(4)])
    x[2, 1, 60:90] = np.nan
    out = preprocess(make(x, 256.0), line_freq=50.0)
    data = out.get_data()
    assert data.shape == (4, 3, round(seconds * 200))
    for epoch, filtered in zip(x, data, strict=True):
        alone = preprocess(make(epoch, 256.0), line_freq=50.0).get_data()
        np.testing.assert_allclose(filtered, alone, atol=1e-4)
    np.testing.assert_allclose(out.get_data(1, 3), data[1:3], atol=1e-4)


# --- mains


@pytest.mark.parametrize("mains", [50.0, 60.0])
@pytest.mark.parametrize("sfreq", [128.0, 250.0, 1000.0])
def test_line_frequency_is_detected(mains: float, sfreq: float) -> None:
    rng = np.random.default_rng(0)
    t = np.arange(round(30 * sfreq)) / sfreq
    x = 10 * rng.standard_normal((4, t.size)) + 3 * np.sin(2 * np.pi * mains * t)
    assert detect_line_freq(x, sfreq) == mains
    assert detect_line_freq(x[:, : round(0.9 * sfreq)], sfreq) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 10.0), (1, 60.0), (19, 4.0)]))
def test_noise_has_no_line_frequency(seed: int, size: tuple[int, float]) -> None:
    n_chans, seconds = size
    x = np.random.default_rng(seed).standard_normal((n_chans, round(seconds * 250)))
    assert detect_line_freq(np.cumsum(x, axis=1), 250.0) is None
    assert detect_line_freq(x, 250.0) is None


def test_line_frequency_argument_before_file_before_detection() -> None:
    x = eeg(250.0, 30.0)
    cases: list[tuple[dict[str, Any], Preprocessing, float | None, float | None, str]] = [
        ({"line_freq": 60.0}, Preprocessing(), 55.0, 55.0, "argument"),
        ({"line_freq": 60.0}, Preprocessing(), None, 60.0, "file"),
        ({}, Preprocessing(), None, 50.0, "detected"),
        ({"line_freq": 60.0}, Preprocessing(notch=47.0), None, 47.0, "settings"),
        ({"line_freq": 60.0}, Preprocessing(notch=None), None, None, "off"),
    ]
    for file, chosen, argument, freq, source in cases:
        out = preprocess(make(x, 250.0, **file), chosen, line_freq=argument)
        assert said(out)["line_freq"] == freq
        assert said(out)["line_freq_source"] == source
        assert said(out)["notch"] == ([] if freq is None else [freq])
    quiet = np.random.default_rng(0).standard_normal((3, 5000))
    assert said(preprocess(make(quiet, 250.0)))["line_freq_source"] == "none found"
    with pytest.raises(PreprocessingError, match="notch=None"):
        preprocess(make(x, 250.0), Preprocessing(notch=None), line_freq=50.0)
    with pytest.raises(PreprocessingError, match="positive"):
        preprocess(make(x, 250.0), line_freq=-50.0)


def test_harmonics_in_the_band_are_removed_too() -> None:
    chosen = Preprocessing(sfreq=500.0, lowpass=200.0)
    out = preprocess(make(eeg(1000.0, 15.0), 1000.0), chosen, line_freq=60.0)
    assert said(out)["notch"] == [60.0, 120.0, 180.0, 240.0]


def test_notch_that_does_not_fit_is_skipped_and_said() -> None:
    out = preprocess(make(eeg(100.0, 30.0), 100.0), line_freq=50.0)
    assert said(out)["notch"] == []
    assert "no notch at 50 Hz" in " ".join(said(out)["notes"])
    out = preprocess(make(eeg(100.0, 30.0), 100.0), Preprocessing(lowpass=None), line_freq=49.9)
    assert "not representable" in " ".join(said(out)["notes"])


def test_band_that_does_not_fit_is_refused() -> None:
    with pytest.raises(PreprocessingError, match="high-pass of 30 Hz"):
        preprocess(make(eeg(50.0, 30.0), 50.0), Preprocessing(highpass=30.0))


# --- manners


def test_lazy_and_pure() -> None:
    """A day is not read: 60 s from all over it are."""
    spans = []

    def reader(start: int, stop: int) -> np.ndarray:
        spans.append((start, stop))
        return np.zeros((2, stop - start))

    day = 24 * 3600 * 250
    recording = make(np.zeros((2, 1)), 250.0, reader=reader, history={"reading": {}})
    recording.n_times = day
    before = copy.copy(recording)
    out = preprocess(recording, line_freq=50.0)
    assert sum(stop - start for start, stop in spans) <= 60 * 250
    assert (spans[0][0], spans[-1][1]) == (0, day)
    assert all(getattr(recording, name) is value for name, value in vars(before).items())
    assert recording.history == {"reading": {}}
    assert list(out.history) == ["reading", "preprocessing"]
    json.dumps(out.history, allow_nan=False)


def test_source_array_is_not_written_to() -> None:
    x = eeg(200.0, 20.0).astype(np.float32)
    kept = x.copy()
    for chosen in (NOTHING, Preprocessing(reference="average", artefact_uv=10.0)):
        preprocess(make(x, 200.0, bad_segments=np.array([[1.0, 2.0]])), chosen).get_data()
        np.testing.assert_array_equal(x, kept)


def test_real_recording() -> None:
    """Mental arithmetic at rest: mains found or absent, alpha where it was."""
    from eegfoundation.recording import read_recording

    recording = read_recording(shared_path("formats", "eegmat_Subject30_rest.edf"))
    out = preprocess(recording)
    assert out.sfreq == 200.0
    assert said(out)["line_freq"] in (None, 50.0)
    a = recording.get_data(0, round(60 * recording.sfreq))
    b = out.get_data(0, 12_000)
    assert np.isfinite(b).mean() > 0.95
    spectra = [
        mne.time_frequency.psd_array_welch(
            np.nan_to_num(x).astype(float), f, fmin=8, fmax=12, n_fft=round(2 * f), verbose="error"
        )[0].mean()
        for x, f in ((a, recording.sfreq), (b, 200.0))
    ]
    assert spectra[1] == pytest.approx(spectra[0], rel=0.05)


def test_preprocessing_twice_is_refused() -> None:
    once = preprocess(make(eeg(250.0, 20.0), 250.0))
    with pytest.raises(PreprocessingError, match="preprocessed already"):
        preprocess(once)
