"""Attention and occlusion: what they measure, and that they find what a simulation put in."""

import dataclasses

import numpy as np
import pytest

from eegfoundation import load_encoder
from eegfoundation.errors import ModelInputError
from eegfoundation.explain import (
    EVERYTHING,
    attention,
    band_stop,
    occlusion,
    plot_topomaps,
)
from eegfoundation.finetuning.fitting import fit
from eegfoundation.finetuning.predicting import predict_trials
from eegfoundation.finetuning.settings import FinetuneSettings
from eegfoundation.synthetic import CLASSES, simulate_motor_imagery
from eegfoundation.tasks.trials import Trials

MU = {"mu": (8.0, 13.0)}
NAMES = ("C3", "Cz", "C4", "Pz")


def hands(n_subjects, preprocessing, *, ch_names=None, n_trials_per_class=13):
    """Trials of imagined left and right hand movements, each session filtered as a whole."""
    from eegfoundation import preprocess, read_recording

    parts, owners, labels = [], [], []
    for subject in range(n_subjects):
        options = {} if ch_names is None else {"ch_names": ch_names}
        session = simulate_motor_imagery(
            subject=subject, n_trials_per_class=n_trials_per_class, **options
        )
        recording = preprocess(read_recording(session.to_raw()), preprocessing)
        data = recording.get_data()
        for onset, length, name in session.events:
            if name in CLASSES[:2]:
                start = round(onset * recording.sfreq)
                parts.append(data[:, start : start + round(length * recording.sfreq)])
                labels.append(CLASSES.index(name))
                owners.append(str(subject))
    zeros = np.full(len(owners), "0")
    return Trials(
        x=np.stack(parts),
        y=np.array(labels),
        subject=np.array(owners),
        session=zeros,
        run=zeros,
        classes=CLASSES[:2],
        ch_names=tuple(recording.ch_names),
        positions=recording.positions,
        preprocessing=preprocessing,
    )


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EEGFOUNDATION_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def few(encoder):
    return hands(2, encoder.preprocessing, ch_names=NAMES, n_trials_per_class=4)


@pytest.fixture(scope="module", params=["probe", "head"])
def model(request, few, encoder):
    everything = np.arange(len(few))
    settings = FinetuneSettings(strategy=request.param, epochs=2)
    return fit(few, everything, everything[:0], encoder, settings)


def without(trials, **changes):
    return dataclasses.replace(trials, **changes)


def drop(model, trials, changed):
    """Mean drop per class, by predicting the changed windows from scratch."""
    difference = predict_trials(model, trials) - predict_trials(model, changed)
    difference = difference[np.arange(len(trials)), trials.y]
    return np.array([difference[trials.y == label].mean() for label in range(2)])


def test_occlusion_is_the_drop_of_probability_without_that_part(model, few):
    """The short way, which encodes each band once, gives what predicting anew gives."""
    stopped = band_stop(few.x, *MU["mu"], few.sfreq)
    by_band = occlusion(model, few, by="band", bands=MU)
    np.testing.assert_allclose(
        by_band.values[:, 0, 0], drop(model, few, without(few, x=stopped)), atol=1e-5
    )
    by_channel = occlusion(model, few, by="channel")
    both = occlusion(model, few, bands=MU)
    for i, name in enumerate(few.ch_names):
        x = few.x.copy()
        x[:, i] = np.nan
        expected = drop(model, few, without(few, x=x))
        np.testing.assert_allclose(by_channel.values[:, 0, i], expected, atol=1e-5)
        x = few.x.copy()
        x[:, i] = stopped[:, i]
        expected = drop(model, few, without(few, x=x))
        np.testing.assert_allclose(both.values[:, 0, i], expected, atol=1e-5)
        assert both.at("right_hand", "mu", name) == both.values[1, 0, i]
    assert by_band.ch_names == ("all channels",)
    assert by_channel.bands == (EVERYTHING,)
    assert np.abs(both.values).max() > 1e-4


def test_shares_of_attention_sum_to_one_and_go_by_true_classes(model, few):
    shares = attention(model, few)
    assert shares.values.shape == (2, 1, 4)
    np.testing.assert_allclose(shares.values.sum(-1), 1, atol=1e-5)
    table = shares.to_dataframe()
    assert table.columns.tolist() == ["class", "band", "channel", "value"]
    found = table[(table["class"] == "right_hand") & (table["channel"] == "Cz")]["value"].item()
    assert found == shares.at("right_hand", EVERYTHING, "Cz")


def test_a_recording_goes_by_what_its_windows_are_taken_for(model):
    raw = simulate_motor_imagery(NAMES, n_trials_per_class=1).to_raw()
    mapped = occlusion(model, raw, by="channel")
    assert mapped.ch_names == NAMES
    assert np.isfinite(mapped.values).any()
    array = raw.get_data() * 1e6
    from_array = occlusion(model, array, by="channel", sfreq=250, ch_names=list(NAMES))
    np.testing.assert_allclose(from_array.values, mapped.values, atol=1e-3)


@pytest.mark.parametrize("alignment", ["standardise", "euclidean"])
def test_alignment_is_that_of_the_whole_windows(few, encoder, alignment):
    """A band without signal changes nothing; one that is taken out everywhere does."""
    everything = np.arange(len(few))
    settings = FinetuneSettings(alignment=alignment)
    model = fit(few, everything, everything[:0], encoder, settings)
    bands = {"nothing": (92.0, 98.0), "most": (2.0, 45.0)}
    nothing, most = occlusion(model, few, by="band", bands=bands).values[:, :, 0].T
    assert np.abs(nothing).max() < 0.1 * np.abs(most).max()
    assert np.abs(most).max() > 1e-3


def test_components_are_explained_beside_the_electrodes(few, encoder):
    everything = np.arange(len(few))
    settings = FinetuneSettings(alignment="components", flicker_hz=[10.0])
    model = fit(few, everything, everything[:0], encoder, settings)
    names = (*NAMES, "10 Hz, component 1", "10 Hz, component 2")
    for found in (attention(model, few), occlusion(model, few, by="channel")):
        assert found.ch_names == names
        assert np.isnan(found.positions[4:]).all()
        assert np.abs(found.values[:, 0, 4:]).max() > 0
    plot_topomaps(found)  # of what has a place


def test_of_covariance_the_encoder_s_part_is_explained(few, encoder):
    everything = np.arange(len(few))
    settings = FinetuneSettings(strategy="probe+covariance")
    model = fit(few, everything, everything[:0], encoder, settings)
    alone = fit(few, everything, everything[:0], encoder)
    shares, of_alone = attention(model, few), attention(alone, few)
    np.testing.assert_allclose(shares.values, of_alone.values)
    assert shares.quantity == "share in the encoder's half of the decisions"
    assert of_alone.quantity == "share in the decisions"
    drops = occlusion(model, few, by="channel").values
    np.testing.assert_allclose(drops, occlusion(alone, few, by="channel").values / 2, atol=1e-5)


def test_band_stop_takes_out_a_band_and_keeps_gaps():
    t = np.arange(800) / 200
    slow, mu = np.sin(2 * np.pi * 3 * t), np.sin(2 * np.pi * 10.5 * t)
    x = np.stack([slow + mu, slow + mu, np.full(800, np.nan)]).astype(np.float32)
    x[1, 400:410] = np.nan
    y = band_stop(x, 8, 13, 200)
    inside = slice(100, 700)
    assert np.abs(y[0] - slow)[inside].max() < 0.1
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    assert np.nanmax(np.abs(y[1] - slow)[inside]) < 0.6
    assert y.dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "electrode"}, "by='electrode'; choose one of"),
        ({"target": "label"}, "target='label'; choose one of"),
        ({"bands": {"mu": (13, 8)}}, "band mu is 13 to 8 Hz; expected edges between 0 and 100"),
        ({"bands": {"high": (30, 120)}}, "band high is 30 to 120 Hz"),
    ],
)
def test_mistakes_are_one_sentence(few, options, message):
    with pytest.raises(ModelInputError, match=message) as caught:
        occlusion(None, few, **options)
    assert "\n" not in str(caught.value)


def test_windows_without_signal_are_no_evidence(model, few):
    x = np.concatenate([few.x, np.full_like(few.x[:3], np.nan)])
    more = {n: np.concatenate([getattr(few, n), getattr(few, n)[:3]]) for n in ("y", "subject")}
    zeros = np.full(len(x), "0")
    padded = without(few, x=x, session=zeros, run=zeros, **more)
    np.testing.assert_allclose(attention(model, padded).values, attention(model, few).values)
    with pytest.raises(ModelInputError, match="None of 3 windows holds a usable sample"):
        attention(model, padded.select(np.arange(len(few), len(x))))


@pytest.fixture(scope="module")
def lateralised():
    """Occlusion of the shipped encoder with a linear readout, on people it has not seen."""
    encoder = load_encoder("small")
    trials = hands(6, encoder.preprocessing)
    test = np.isin(trials.subject, ["4", "5"])
    everything = np.arange(len(trials))
    settings = FinetuneSettings(alignment="standardise")
    model = fit(trials, everything[~test], everything[:0], encoder, settings)
    asked = trials.select(test)
    accuracy = (predict_trials(model, asked).argmax(1) == asked.y).mean()
    return accuracy, occlusion(model, asked, bands=MU)


def test_mu_shows_the_lateralisation_that_the_simulation_put_in(lateralised):
    """The hand's own hemisphere keeps its mu, the other one loses it (`synthetic.ERD`).

    So mu over the hand's own side speaks for the hand, and over the opposite side against it.
    """
    accuracy, found = lateralised
    assert accuracy > 0.65
    for hand, own, opposite in (("left_hand", "C3", "C4"), ("right_hand", "C4", "C3")):
        same, other = (found.at(hand, "mu", name) for name in (own, opposite))
        assert other < 0 < same
        # the index is 1 where both sides speak as they should, and nothing else does
        everywhere = np.abs(found.values[found.classes.index(hand), 0])
        largest = [found.ch_names[i] for i in np.argsort(everywhere)[-2:]]
        assert opposite in largest or own in largest
        assert (same - other) / 2 > 2 * np.median(everywhere)


def test_channels_of_the_hands_matter_most(lateralised):
    _, found = lateralised
    effect = np.abs(found.values[:, 0]).mean(0)
    best = {found.ch_names[i] for i in np.argsort(effect)[-4:]}
    assert {"C3", "C4"} <= best
