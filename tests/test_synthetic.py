"""Simulated recordings must look like EEG where it matters, and be the same everywhere."""

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import welch

from eegfoundation import montage
from eegfoundation.errors import ConfigError
from eegfoundation.synthetic import (
    BCIC_2A_CHANNELS,
    CLASSES,
    SyntheticRecording,
    simulate_motor_imagery,
    simulate_resting,
)

# fmt: off
TEN_TWENTY = [
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz",
    "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "Oz", "O2",
]
# fmt: on


def band_power(x: np.ndarray, sfreq: float, low: float, high: float) -> np.ndarray:
    """Mean power density between two frequencies, over the last axis."""
    freqs, power = welch(x, sfreq, nperseg=min(x.shape[-1], round(2 * sfreq)))
    return power[..., (freqs >= low) & (freqs <= high)].mean(-1)


@pytest.fixture(scope="module")
def closed() -> SyntheticRecording:
    return simulate_resting(TEN_TWENTY, duration=60, subject=3, eyes="closed")


@pytest.fixture(scope="module")
def people() -> list[SyntheticRecording]:
    """One session each of five people: rhythms come and go, so single sessions are noisy."""
    return [simulate_motor_imagery(n_trials_per_class=16, subject=s) for s in range(5)]


@pytest.fixture(scope="module")
def imagery(people: list[SyntheticRecording]) -> SyntheticRecording:
    return people[0]


# Determinism


def test_same_numbers_same_recording():
    first, again = (simulate_motor_imagery(n_trials_per_class=1, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.data, again.data)
    assert first.events == again.events


@pytest.mark.parametrize("change", [{"seed": 1}, {"subject": 1}])
def test_other_session_or_person_is_another_recording(change: dict[str, int]):
    one = simulate_resting(["C3", "Oz"], duration=10)
    other = simulate_resting(["C3", "Oz"], duration=10, **change)
    assert abs(np.corrcoef(one.data[0], other.data[0])[0, 1]) < 0.5


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([*TEN_TWENTY, "MISC7"]), min_size=1, max_size=6, unique=True))
def test_some_channels_are_rows_of_all_channels(subset: list[str]):
    everything = [*TEN_TWENTY, "MISC7"]
    whole = simulate_resting(everything, duration=3, seed=2)
    rows = [everything.index(name) for name in subset]
    part = simulate_resting(subset, duration=3, seed=2)
    np.testing.assert_allclose(part.data, whole.data[rows], atol=1e-9)


def test_the_callers_random_numbers_stay_untouched():
    np.random.seed(0)  # noqa: NPY002 (the global state is what is tested)
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    simulate_resting(["Cz"], duration=1)
    assert np.random.rand() == expected  # noqa: NPY002


# Does it look like EEG?


@pytest.mark.parametrize("subject", range(4))
def test_amplitudes_are_those_of_scalp_eeg(subject: int):
    recording = simulate_resting(TEN_TWENTY, subject=subject)
    assert recording.data.shape == (20, 15_000)
    assert recording.data.dtype == np.float64
    deviation = recording.data.std(axis=1)
    assert deviation.min() > 5
    assert deviation.max() < 60
    assert np.abs(recording.data).max() < 400


@pytest.mark.parametrize("sfreq", [128.0, 250.0, 1000.0])
def test_amplitudes_do_not_depend_on_the_rate(sfreq: float):
    x = simulate_resting(["C3", "Pz"], sfreq=sfreq, subject=2).data
    assert x.shape[1] == 60 * sfreq
    reference = simulate_resting(["C3", "Pz"], sfreq=500.0, subject=2).data
    ratio = band_power(x, sfreq, 1, 45) / band_power(reference, 500.0, 1, 45)
    np.testing.assert_allclose(ratio, 1, atol=0.5)


def test_alpha_peaks_at_the_back_of_the_head(closed: SyntheticRecording):
    alpha = band_power(closed.data, closed.sfreq, 8, 12)
    assert {TEN_TWENTY[i] for i in np.argsort(alpha)[-3:]} == {"O1", "Oz", "O2"}
    freqs, power = welch(closed.data[TEN_TWENTY.index("Oz")], closed.sfreq, nperseg=1000)
    searched = (freqs > 5) & (freqs < 40)
    assert 8.5 < freqs[searched][power[searched].argmax()] < 11.5


def test_alpha_comes_in_bursts(closed: SyntheticRecording):
    occipital = mne.filter.filter_data(
        closed.data[TEN_TWENTY.index("Oz")], closed.sfreq, 7, 13, verbose="error"
    )
    power = (occipital.reshape(-1, 250) ** 2).mean(axis=1)  # second by second
    assert np.percentile(power, 90) > 3 * np.percentile(power, 10)


def test_eyes_closed_has_more_alpha_and_no_blinks(closed: SyntheticRecording):
    opened = simulate_resting(TEN_TWENTY, subject=3, eyes="open")
    alpha = [band_power(r.data[TEN_TWENTY.index("Oz")], 250, 8, 12) for r in (opened, closed)]
    assert alpha[1] > 4 * alpha[0]
    peak = [np.abs(r.data[TEN_TWENTY.index("Fp1")]).max() for r in (opened, closed)]
    assert peak[0] > 80 > peak[1]


def test_blinks_fade_from_front_to_back():
    recording = simulate_resting(["Fp1", "F3", "C3", "O1"], subject=8, duration=120)
    slow = mne.filter.filter_data(recording.data, 250.0, 1, 8, verbose="error")
    blinks = slow[:, slow[0] > 60]
    assert blinks.shape[1] > 100
    means = blinks.mean(axis=1)
    assert (np.diff(means) < 0).all()
    assert means[3] < 0.15 * means[0]


@pytest.mark.parametrize("line_freq", [50.0, 60.0])
def test_mains_hum_is_where_it_was_asked_for(line_freq: float):
    hum, clean = (simulate_resting(TEN_TWENTY, line_freq=line).data for line in (line_freq, None))
    freqs, power = welch(hum - clean, 250.0, nperseg=500)
    assert (freqs[power.argmax(axis=1)] == line_freq).all()
    peak, floor = (band_power(x, 250, line_freq - 0.5, line_freq + 0.5) for x in (hum, clean))
    assert np.median(peak / floor) > 4


def test_background_falls_like_one_over_f():
    x = simulate_resting(["F3", "Fz", "F4"], duration=120, subject=1, line_freq=None, eyes="closed")
    freqs, power = welch(x.data, 250.0, nperseg=1000)
    fitted = ((freqs > 2) & (freqs < 7)) | ((freqs > 30) & (freqs < 70))
    slope = np.polyfit(np.log(freqs[fitted]), np.log(power[:, fitted].mean(axis=0)), 1)[0]
    assert -2.0 < slope < -0.9


def test_neighbours_share_more_than_distant_electrodes(imagery: SyntheticRecording):
    correlation = np.corrcoef(imagery.data)
    places = montage.positions(BCIC_2A_CHANNELS)
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    pairs = np.triu_indices(len(places), 1)
    near, far = distance[pairs] < 0.04, distance[pairs] > 0.08
    assert correlation[pairs][near].mean() > 0.7
    assert correlation[pairs][far].mean() < correlation[pairs][near].mean() - 0.2


# Motor imagery


def erd(recording: SyntheticRecording, low: float = 8, high: float = 13) -> np.ndarray:
    """Change of band power from fixation to imagery in dB, shape (n_classes, n_chans)."""
    before, labels = recording.trials(-2.0, 0.0)
    during, _ = recording.trials(1.0, 4.0)
    change = [
        np.stack([band_power(x, recording.sfreq, low, high)[labels == c].mean(0) for c in range(4)])
        for x in (before, during)
    ]
    return 10 * np.log10(change[1] / change[0])


def test_imagery_desynchronises_the_side_across(people: list[SyntheticRecording]):
    change = np.stack([erd(recording) for recording in people])
    c3, c4 = (change[..., BCIC_2A_CHANNELS.index(name)] for name in ("C3", "C4"))
    left, right = CLASSES.index("left_hand"), CLASSES.index("right_hand")
    assert c4[:, left].mean() < c3[:, left].mean() - 2
    assert c3[:, right].mean() < c4[:, right].mean() - 2
    assert c4[:, left].mean() < -1.5
    assert c3[:, right].mean() < -1.5


@pytest.mark.parametrize(("low", "high"), [(8, 13), (16, 28)])
def test_each_movement_is_deepest_over_its_own_area(
    people: list[SyntheticRecording], low: float, high: float
):
    change = np.mean([erd(recording, low, high) for recording in people], axis=0)
    relative = change - change.mean(axis=0)
    deepest = {
        name: BCIC_2A_CHANNELS[row.argmin()] for name, row in zip(CLASSES, relative, strict=True)
    }
    assert deepest["left_hand"] in ("C4", "CP4", "FC4", "C2")
    assert deepest["right_hand"] in ("C3", "CP3", "FC3", "C1")
    assert deepest["feet"] in ("Cz", "FCz", "CPz", "C1", "C2")
    assert deepest["tongue"] in ("C5", "C6")


def test_without_signal_the_movement_does_not_show(people: list[SyntheticRecording]):
    silent = [simulate_motor_imagery(n_trials_per_class=16, subject=s, snr=0) for s in range(2)]
    assert silent[0].events == people[0].events
    motor = [BCIC_2A_CHANNELS.index(name) for name in ("C3", "C4", "Cz")]
    shown, hidden = (np.mean([erd(r) for r in rs], axis=0)[:, motor] for rs in (people[:2], silent))
    assert np.abs(hidden).max() < 0.5 * np.abs(shown).max()


def test_trials_follow_the_time_course_of_data_set_2a(imagery: SyntheticRecording):
    onsets = np.array([onset for onset, _, _ in imagery.events])
    assert ((np.diff(onsets) >= 7.5 - 0.02) & (np.diff(onsets) <= 8.5 + 0.02)).all()
    assert {duration for _, duration, _ in imagery.events} == {4.0}
    x, y = imagery.trials()
    assert x.shape == (64, 22, 1000)
    assert np.bincount(y).tolist() == [16] * 4
    first = round(onsets[0] * 250)
    np.testing.assert_array_equal(x[0], imagery.data[:, first : first + 1000])


# Any montage, any rate, and what is refused


def test_one_channel_and_unknown_names():
    recording = simulate_resting(["Nowhere1", "Nowhere2", "Cz"], duration=30)
    assert np.isfinite(recording.data).all()
    assert (recording.data.std(axis=1) > 5).all()
    assert simulate_motor_imagery(["C4"], n_trials_per_class=1).data.shape[0] == 1


def test_unknown_places_have_no_rhythms():
    shown = {"sfreq": 100.0, "n_trials_per_class": 1, "line_freq": None}
    with_rhythm = simulate_motor_imagery(["Nowhere", "C3"], snr=5, **shown)
    without = simulate_motor_imagery(["Nowhere", "C3"], snr=0, **shown)
    np.testing.assert_array_equal(with_rhythm.data[0], without.data[0])
    assert with_rhythm.data[1].std() > 2 * without.data[1].std()


@settings(max_examples=20, deadline=None)
@given(
    duration=st.floats(0.3, 20), sfreq=st.floats(20, 600), eyes=st.sampled_from(["open", "closed"])
)
def test_any_duration_and_rate(duration: float, sfreq: float, eyes: str):
    recording = simulate_resting(["Fp1", "Oz"], duration=duration, sfreq=sfreq, eyes=eyes)
    assert recording.data.shape == (2, round(duration * sfreq))
    assert np.isfinite(recording.data).all()
    assert np.abs(recording.data).max() < 500


def test_a_rhythm_above_half_the_rate_is_absent():
    slow = simulate_resting(["Oz"], sfreq=16.0, eyes="closed", line_freq=50.0).data
    fast = simulate_resting(["Oz"], sfreq=64.0, eyes="closed", line_freq=50.0).data
    assert slow.var() < 0.8 * fast.var()


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_trials_per_class": 0},
        {"snr": -1.0},
        {"snr": float("nan")},
        {"seed": -1},
        {"subject": -1},
        {"sfreq": 0.0},
        {"sfreq": float("inf")},
        {"ch_names": []},
    ],
)
def test_impossible_sessions_are_refused(wrong: dict[str, object]):
    with pytest.raises(ConfigError, match="choose"):
        simulate_motor_imagery(**wrong)


def test_impossible_rest_and_spans_are_refused(imagery: SyntheticRecording):
    with pytest.raises(ConfigError, match="'open' or 'closed'"):
        simulate_resting(eyes="half")  # type: ignore[arg-type]
    rest = simulate_resting(["Cz"], duration=5)
    with pytest.raises(ConfigError, match="0 trials"):
        rest.trials()
    for span in ((-10.0, 4.0), (0.0, 60.0), (1.0, 1.0)):
        with pytest.raises(ConfigError, match="span"):
            imagery.trials(*span)


def test_to_raw_keeps_microvolts_positions_and_trials():
    recording = simulate_motor_imagery(["C3", "Nowhere", "C4"], n_trials_per_class=1)
    raw = recording.to_raw()
    assert raw.ch_names == recording.ch_names
    assert raw.info["sfreq"] == 250.0
    np.testing.assert_allclose(raw.get_data() * 1e6, recording.data)
    places = np.array([ch["loc"][:3] for ch in raw.info["chs"]])
    np.testing.assert_allclose(places, montage.positions(recording.ch_names), rtol=1e-6)
    assert list(raw.annotations.description) == [name for _, _, name in recording.events]
    np.testing.assert_allclose(raw.annotations.onset, [onset for onset, _, _ in recording.events])
    assert len(simulate_resting(["Cz"], duration=2).to_raw().annotations) == 0
