"""From labelled windows to a classifier, by every strategy."""

import dataclasses

import numpy as np
import pytest
import torch

from eegfoundation import load_downstream_model
from eegfoundation.alignments import BANDS
from eegfoundation.errors import CheckpointError, TaskError
from eegfoundation.evaluation.alignment import euclidean, recentre, standardise
from eegfoundation.evaluation.baselines import (
    band_pass,
    canonical_correlations,
    covariances,
    tangent_features,
)
from eegfoundation.evaluation.components import components, masks_of
from eegfoundation.features import context_vectors
from eegfoundation.finetuning.fitting import fit
from eegfoundation.finetuning.predicting import electrode_shares, predict_trials
from eegfoundation.finetuning.settings import FinetuneSettings
from eegfoundation.models import fingerprint, save_downstream_model
from eegfoundation.preprocessing import Preprocessing
from eegfoundation.probe import fit_probe

NONE = np.array([], dtype=int)


def settings(strategy, **changes):
    return FinetuneSettings(**{"strategy": strategy, "epochs": 4, "patience": 4, **changes})


@pytest.mark.parametrize("alignment", ["none", "standardise", "euclidean"])
def test_a_probe_is_the_probe_that_baselines_are_scored_by(trials, fold, encoder, alignment):
    train, validation, test = fold
    model = fit(trials, train, validation, encoder, settings("probe", alignment=alignment))
    group = trials.group("session")
    x = euclidean(trials.x, group) if alignment == "euclidean" else trials.x
    context = context_vectors(x, trials.preprocessing, encoder, cache=False)
    if alignment == "standardise":
        context = standardise(context, group)
    flat, used = context.reshape(len(x), -1), np.concatenate([train, validation])
    probe = fit_probe(flat[used], trials.y[used], trials.subject[used], 2)
    found = predict_trials(model, trials, test)
    np.testing.assert_allclose(np.log(found), probe.predict_log_proba(flat[test]), atol=2e-4)
    assert model.config.alignment == alignment


@pytest.mark.parametrize("flicker_hz", [None, [10.0, 13.0]])
def test_a_probe_of_components_reads_channels_and_components(trials, fold, encoder, flicker_hz):
    train, validation, test = fold
    chosen = settings("probe", alignment="components", flicker_hz=flicker_hz)
    model = fit(trials, train, validation, encoder, chosen)
    group = trials.group("session")
    masks = masks_of(trials.x.shape[-1], trials.sfreq, flicker_hz)
    x = np.concatenate([euclidean(trials.x, group), components(trials.x, group, masks)], axis=1)
    context = context_vectors(x, trials.preprocessing, encoder, cache=False)
    context = standardise(context, group)
    flat, used = context.reshape(len(x), -1), np.concatenate([train, validation])
    probe = fit_probe(flat[used], trials.y[used], trials.subject[used], 2)
    found = predict_trials(model, trials, test)
    np.testing.assert_allclose(np.log(found), probe.predict_log_proba(flat[test]), atol=2e-4)
    assert model.config.num_channel == len(trials.ch_names)
    assert model.config.flicker_hz == flicker_hz
    shares = electrode_shares(model, trials, test)
    assert shares.shape == (len(test), len(trials.ch_names) + len(model.config.component_names))
    assert shares[:, -1].max() > 0


@pytest.mark.parametrize("flicker_hz", [None, [10.0, 13.0]])
@pytest.mark.parametrize("alignment", ["none", "standardise"])
def test_covariance_is_a_second_probe_that_is_averaged(
    trials, fold, encoder, alignment, flicker_hz
):
    train, validation, test = fold
    chosen = settings("probe+covariance", alignment=alignment, flicker_hz=flicker_hz)
    model = fit(trials, train, validation, encoder, chosen)
    alone = fit(trials, train, validation, encoder, settings("probe", alignment=alignment))
    used, group = np.concatenate([train, validation]), trials.group("session")
    if flicker_hz:
        found = canonical_correlations(
            trials.x, trials.sfreq, flicker_hz, trials.preprocessing.lowpass
        )
        features = found if alignment == "none" else standardise(found, group)
    else:
        features = []
        for band in BANDS:
            matrices = covariances(band_pass(trials.x, trials.sfreq, *band))
            matrices = matrices if alignment == "none" else recentre(matrices, group)
            features.append(tangent_features(matrices, used))
        features = np.hstack(features)
    second = fit_probe(features[used], trials.y[used], trials.subject[used], 2)
    expected = predict_trials(alone, trials, test), np.exp(second.predict_log_proba(features[test]))
    np.testing.assert_allclose(predict_trials(model, trials, test), np.mean(expected, 0), atol=1e-3)
    assert np.abs(expected[0] - expected[1]).max() > 0.01


def test_a_probe_learns_what_there_is_to_learn(trials, fold, encoder):
    train, validation, test = fold
    model = fit(trials, train, validation, encoder)
    accuracy = (predict_trials(model, trials, test).argmax(1) == trials.y[test]).mean()
    assert accuracy > 0.85
    shares = electrode_shares(model, trials, test).mean(0)
    assert shares.sum() == pytest.approx(1)


def test_shuffled_labels_teach_nothing(trials, fold, encoder):
    train, validation, test = fold
    found = []
    for seed in range(4):
        y = np.random.default_rng(seed).permutation(trials.y)
        model = fit(dataclasses.replace(trials, y=y), train, validation, encoder)
        found.append((predict_trials(model, trials, test).argmax(1) == trials.y[test]).mean())
    assert 0.3 < np.mean(found) < 0.7


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        ("head", {"alignment": "standardise"}),
        ("head", {"augmentation": True, "monitor": "balanced_accuracy"}),
        ("lora", {"alignment": "euclidean"}),
        ("full", {"augmentation": True}),
    ],
)
def test_strategies_learn_and_their_checkpoints_say_the_same(
    trials, fold, encoder, narrow, tmp_path, strategy, changes
):
    train, validation, test = fold
    before = fingerprint(encoder)
    history = []
    model = fit(
        trials,
        train,
        validation,
        encoder,
        settings(strategy, epochs=6, **changes),
        config=narrow,
        history=history,
    )
    assert fingerprint(encoder) == before
    assert not model.training
    assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))
    assert set(history[0]) == {"epoch", "loss", "eval_loss", "eval_balanced_accuracy"}
    assert history[-1]["loss"] < history[0]["loss"]
    found = predict_trials(model, trials, test)
    assert (found.argmax(1) == trials.y[test]).mean() > 0.6

    config = model.config
    assert config.encoder == "somewhere"
    assert config.encoder_tuned == (strategy in ("lora", "full"))
    assert (config.encoder_sha256 == before) == (strategy == "head")
    assert config.trained_on == "120 windows of 5 subjects (60 open, 60 closed)"
    assert (config.num_channel, config.seq_len, config.class_names) == (5, 400, ["open", "closed"])
    save_downstream_model(model, tmp_path / "m.pth", tmp_path / "m.json")
    loaded = load_downstream_model(tmp_path / "m.pth", tmp_path / "m.json")
    if strategy == "head":
        loaded.attach_encoder(encoder)
    np.testing.assert_allclose(predict_trials(loaded, trials, test), found, atol=1e-5)


def test_the_weights_are_those_of_the_best_epoch(trials, fold, encoder, narrow):
    """A rate far too high: later epochs are worse."""
    train, validation, _ = fold
    history = []
    chosen = settings("head", epochs=8, patience=3, learning_rate=0.03, bf16=False)
    model = fit(trials, train, validation, encoder, chosen, config=narrow, history=history)
    losses = [row["eval_loss"] for row in history]
    assert losses.index(min(losses)) == len(losses) - 4 or len(losses) == 8
    p = predict_trials(model, trials, validation)
    loss = -np.log(p[np.arange(len(validation)), trials.y[validation]]).mean()  # classes are equal
    assert loss == pytest.approx(min(losses), abs=1e-4)


@pytest.mark.parametrize("strategy", ["head", "lora", "full"])
def test_bfloat16_learns_nearly_the_same(trials, fold, encoder, narrow, strategy):
    train, validation, test = fold
    histories, found = [], []
    for bf16 in (False, True):
        history = []
        model = fit(
            trials,
            train,
            validation,
            encoder,
            settings(strategy, bf16=bf16),
            config=narrow,
            history=history,
        )
        assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
        histories.append(history)
        found.append(predict_trials(model, trials, test))
    losses = [[row["eval_loss"] for row in history] for history in histories]
    assert losses[1][0] == pytest.approx(losses[0][0], rel=0.01)
    # Weights of the best epoch are kept; one bad step afterwards may part the paths by far more.
    assert min(losses[1]) == pytest.approx(min(losses[0]), abs=0.03)
    right = [(p.argmax(1) == trials.y[test]).mean() for p in found]
    assert right[1] == pytest.approx(right[0], abs=0.15)
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("lost", [0, 1])
def test_what_was_stopped_early_stays_stopped(trials, fold, encoder, narrow, tmp_path, lost):
    """Killed after the last epoch, or before its checkpoint was written."""
    train, validation, _ = fold
    chosen = settings("head", epochs=20, patience=2, learning_rate=0.03)
    results = []
    for _ in range(2):
        history = []
        model = fit(
            *(trials, train, validation, encoder, chosen),
            out=tmp_path,
            config=narrow,
            history=history,
        )
        results.append((history, model.state_dict()))
        last = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
        if lost:
            (last / "trainer_state.json").unlink()
            (last / "SHA256SUMS").unlink()
    assert len(results[0][0]) < 20
    assert results[0][0] == results[1][0]
    for key, value in results[0][1].items():
        assert torch.equal(value, results[1][1][key]), key


def test_a_best_checkpoint_that_was_damaged_is_named(trials, fold, encoder, narrow, tmp_path):
    train, validation, _ = fold
    chosen = settings("head", epochs=20, patience=2, learning_rate=0.03)
    arguments = (trials, train, validation, encoder, chosen)
    fit(*arguments, out=tmp_path, config=narrow)
    best = min(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    path = best / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with (
        pytest.warns(UserWarning, match=rf"{best.name} is damaged and was removed \(model\.safet"),
        pytest.raises(CheckpointError, match=r"model\.safetensors, of the best epoch, is gone"),
    ):
        fit(*arguments, out=tmp_path, config=narrow)


def test_the_seed_decides_and_nothing_else(trials, fold, encoder, narrow):
    train, validation, test = fold
    found = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        model = fit(
            trials, train, validation, encoder, settings("head", epochs=2, seed=seed), config=narrow
        )
        assert torch.equal(torch.get_rng_state(), state)
        found.append(predict_trials(model, trials, test))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 1e-3


def test_without_validation_it_runs_through(trials, fold, encoder, narrow):
    history = []
    fit(trials, fold[0], NONE, encoder, settings("head"), config=narrow, history=history)
    assert [set(row) for row in history] == [{"epoch", "loss"}] * 4


def test_what_cannot_be_learned_from_is_one_sentence(trials, fold, encoder):
    train, validation, _ = fold
    only = train[trials.y[train] == 0]
    for strategy in ("probe", "head"):
        with pytest.raises(TaskError, match=r"class \['closed'\]; add some"):
            fit(trials, only, NONE, encoder, settings(strategy))
    other = dataclasses.replace(trials, preprocessing=Preprocessing(highpass=1.0))
    with pytest.raises(TaskError, match="highpass"):
        fit(other, train, validation, encoder)
