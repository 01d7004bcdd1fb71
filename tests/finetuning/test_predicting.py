"""From a classifier and windows to probabilities."""

import copy

import numpy as np
import pytest

from eegfoundation.errors import TaskError
from eegfoundation.finetuning.fitting import fit
from eegfoundation.finetuning.predicting import electrode_shares, predict_trials
from eegfoundation.finetuning.settings import FinetuneSettings


def test_a_training_that_diverged_is_said(trials, fold, encoder):
    train, validation, test = fold
    settings = FinetuneSettings(strategy="head", epochs=4, patience=4, learning_rate=1e6)
    model = fit(trials, train, validation, encoder, settings)
    with pytest.raises(TaskError, match=r"diverged. Train it with a lower learning_rate\.$"):
        predict_trials(model, trials, test)


def test_alignment_is_within_a_session_and_by_the_windows_given(trials, fold, encoder):
    train, validation, test = fold
    settings = FinetuneSettings(alignment="standardise")
    model = fit(trials, train, validation, encoder, settings)
    whole = predict_trials(model, trials, test)
    alone = predict_trials(model, trials.select(test))
    np.testing.assert_allclose(alone, whole, atol=1e-5)  # others' sessions say nothing
    few = predict_trials(model, trials.select(test[:3]))
    assert np.abs(few - whole[:3]).max() > 1e-4


def test_an_encoder_in_training_stays_in_training(trials, fold, encoder):
    own = copy.deepcopy(encoder).train()
    model = fit(trials, *fold[:2], own)
    predict_trials(model, trials, fold[2])
    assert own.training
    assert all(p.requires_grad for p in own.parameters())


def test_no_windows_have_no_probabilities(trials, fold, encoder):
    model = fit(trials, *fold[:2], encoder)
    nothing = np.empty(0, dtype=int)
    assert predict_trials(model, trials, nothing).shape == (0, 2)
    assert electrode_shares(model, trials, nothing).shape == (0, len(trials.ch_names))
