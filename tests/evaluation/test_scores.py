import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn import metrics

from eegfoundation.evaluation.scores import (
    Predictions,
    bootstrap,
    expected_calibration_error,
    interval,
    scores,
    subject_draws,
)


def random_predictions(n_classes=3, n_seeds=2, n_subjects=5, n=60, seed=0, skill=1.0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    raw = rng.normal(size=(n_seeds, n, n_classes)) + skill * np.eye(n_classes)[y]
    subject = rng.permutation(np.arange(n) % n_subjects).astype(str)
    return Predictions(log_proba=log_softmax(raw, axis=-1), y=y, subject=subject)


@settings(max_examples=20, deadline=None)
@given(n_classes=st.integers(2, 5), seed=st.integers(0, 2**32 - 1))
def test_scores_are_those_of_scikit_learn(n_classes, seed):
    found = random_predictions(n_classes, n_seeds=3, seed=seed)
    y, probability = found.y, np.exp(found.log_proba)
    labels = list(range(n_classes))
    expected = {
        "balanced_accuracy": [metrics.balanced_accuracy_score(y, g) for g in found.guess],
        "kappa": [metrics.cohen_kappa_score(y, g) for g in found.guess],
        "weighted_f1": [
            metrics.f1_score(y, g, average="weighted", zero_division=0) for g in found.guess
        ],
        "brier": [
            metrics.brier_score_loss(y, p, labels=labels, scale_by_half=False) for p in probability
        ],
    }
    if n_classes == 2:
        expected["auroc"] = [metrics.roc_auc_score(y, p[:, 1]) for p in probability]
        expected["auc_pr"] = [metrics.average_precision_score(y, p[:, 1]) for p in probability]
    else:
        expected["auroc"] = [metrics.roc_auc_score(y, p, multi_class="ovr") for p in probability]
        expected["auc_pr"] = [
            metrics.average_precision_score(np.eye(n_classes)[y], p) for p in probability
        ]
    result = scores(found)
    for name, values in expected.items():
        assert result[name] == pytest.approx(np.mean(values)), name
    sd = np.std(expected["balanced_accuracy"], ddof=1)
    assert result["balanced_accuracy_sd"] == pytest.approx(sd)


def test_the_bootstrap_is_the_plain_one():
    found = random_predictions(n_subjects=4, n=24)  # so few that draws lack classes
    fast = bootstrap(found, n_draws=200)
    where = [np.flatnonzero(found.subject == name) for name in np.unique(found.subject)]
    for draw, value in zip(subject_draws(4, 200), fast, strict=True):
        assert draw.sum() == 4
        index = np.concatenate([np.repeat(part, n) for part, n in zip(where, draw, strict=True)])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
            plain = [metrics.balanced_accuracy_score(found.y[index], g[index]) for g in found.guess]
        assert value == pytest.approx(np.mean(plain))


def test_more_windows_of_the_same_people_make_nothing_surer():
    one_opinion = random_predictions(2, 1, 6, 60)
    many_windows = Predictions(
        log_proba=np.repeat(one_opinion.log_proba, 20, axis=1),
        y=np.repeat(one_opinion.y, 20),
        subject=np.repeat(one_opinion.subject, 20),
    )
    np.testing.assert_allclose(bootstrap(many_windows), bootstrap(one_opinion))


def test_differences_are_paired():
    """Two rows that differ by a little on everybody differ for sure, however people differ."""
    good = random_predictions(2, 1, 8, 400, skill=2)
    worse = good.log_proba.copy()
    for name in np.unique(good.subject):
        right = np.flatnonzero((good.subject == name) & (good.guess[0] == good.y))
        worse[0, right[:4]] = worse[0, right[:4], ::-1]
    other = Predictions(log_proba=worse, y=good.y, subject=good.subject)
    low, high = interval(bootstrap(good) - bootstrap(other))
    assert 0.05 < low < high < 0.11
    unpaired_low, _ = interval(bootstrap(good) - bootstrap(other, seed=1))
    assert unpaired_low < low


@pytest.mark.parametrize(("n_classes", "n"), [(2, 4000), (4, 8000)])
def test_chance_is_chance(n_classes, n):
    result = scores(random_predictions(n_classes, 5, 10, n, skill=0))
    assert result["balanced_accuracy"] == pytest.approx(1 / n_classes, abs=0.02)
    assert result["auroc"] == pytest.approx(0.5, abs=0.02)
    assert result["kappa"] == pytest.approx(0, abs=0.02)


def test_calibration_error_of_known_cases():
    sure = np.tile([0.999, 0.001], (1000, 1))
    y = np.arange(1000) % 4 == 0  # right in 3 of 4
    assert expected_calibration_error(sure, y.astype(int)) == pytest.approx(0.249)
    honest = np.tile([0.75, 0.25], (1000, 1))
    assert expected_calibration_error(honest, y.astype(int)) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(np.eye(2)[[0, 1]], np.array([0, 1])) == 0


def test_what_has_no_meaning_is_none():
    found = random_predictions(3)
    kept = found.y != 2
    some = Predictions(
        log_proba=found.log_proba[:, kept], y=found.y[kept], subject=found.subject[kept]
    )
    result = scores(some, calibration=False)
    assert [result[name] for name in ("auroc", "auc_pr", "ece", "brier")] == [None] * 4
    assert result["balanced_accuracy"] > 0.5


def test_a_constant_guess_has_no_kappa():
    log_proba = np.log(np.tile([[0.9, 0.1]], (1, 10, 1)))
    y = np.zeros(10, dtype=int)
    result = scores(Predictions(log_proba=log_proba, y=y, subject=np.arange(10).astype(str)))
    assert result["kappa"] == 0
    assert result["balanced_accuracy"] == 1
