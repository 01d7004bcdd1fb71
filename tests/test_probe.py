from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn import linear_model
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold

from eegfoundation.errors import TaskError
from eegfoundation.probe import PENALTIES, fit_probe


def problem(n=60, d=8, n_classes=3, n_groups=6, effect=1.0, seed=0):
    """Features of unlike size and offset, some of which know the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    x = rng.normal(size=(n, d))
    x[:, : d // 2] += effect * rng.normal(size=(n_classes, d // 2))[y]
    x = x * rng.uniform(0.1, 100, d) + rng.normal(0, 50, d)
    return x.astype(np.float32), y, (np.arange(n) // n_classes) % n_groups


def plain(x, y, penalty):
    """What the probe is meant to be: scikit-learn's, on all features."""
    mean, sd = x.mean(0, dtype=float), x.std(0, dtype=float)

    def scaled(features):
        return (features - mean) / (sd * np.sqrt(x.shape[1]))

    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=5000, tol=1e-9)
    model.fit(scaled(x), y)
    return lambda features: model.predict_log_proba(scaled(features))


@settings(max_examples=12, deadline=None)
@given(
    n_classes=st.integers(2, 4),
    d=st.sampled_from([3, 20, 59, 60, 61, 200]),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_is_plain_logistic_regression(n_classes, d, seed):
    """Also with more features than windows, where it is solved in the span of the windows."""
    x, y, group = problem(d=d, n_classes=n_classes, seed=seed)
    asked = problem(d=d, n_classes=n_classes, seed=seed + 1)[0]
    with pytest.MonkeyPatch.context() as patch:  # by default, it stops early
        patch.setattr(linear_model, "LogisticRegression", partial(LogisticRegression, tol=1e-9))
        probe = fit_probe(x, y, group, n_classes)
    expected = softmax(plain(x, y, probe.penalty)(asked) / probe.temperature, axis=1)
    np.testing.assert_allclose(np.exp(probe.predict_log_proba(asked)), expected, atol=5e-4)


def test_rows_of_the_weights_are_in_the_space_of_the_features():
    x, y, group = problem(d=200)
    probe = fit_probe(x, y, group, 3)
    assert probe.weight.shape == (200, 3)
    assert probe.bias.shape == (3,)
    logits = (x - probe.mean) * probe.scale @ probe.weight + probe.bias
    found = probe.predict_log_proba(x)
    np.testing.assert_allclose(np.exp(found).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(found - found[:, :1], logits - logits[:, :1], rtol=1e-4, atol=1e-4)
    assert (found.argmax(1) == y).mean() > 0.9


def test_the_penalty_is_the_best_over_held_out_groups():
    x, y, group = problem(d=30, effect=0.6)
    probe = fit_probe(x, y, group, 3)
    found = []
    for penalty in PENALTIES:
        guess = np.empty_like(y)
        for train, held_out in GroupKFold(5).split(x, y, group):
            guess[held_out] = plain(x[train], y[train], penalty)(x[held_out]).argmax(1)
        found.append(balanced_accuracy_score(y, guess))
    assert probe.validation_score == pytest.approx(max(found), abs=0.03)
    assert found[PENALTIES.index(probe.penalty)] == pytest.approx(max(found), abs=0.03)


@pytest.mark.parametrize("effect", [0.4, 0.8])
def test_it_is_as_sure_as_it_is_right(effect):
    """No other temperature would have made the classes of people it has not seen likelier."""
    x, y, group = problem(n=2400, d=30, n_classes=2, n_groups=40, effect=effect)
    known = group < 20
    probe = fit_probe(x[known], y[known], group[known], 2)
    found = probe.predict_log_proba(x[~known])

    def loss(factor):
        return -log_softmax(found * factor, axis=1)[np.arange(len(found)), y[~known]].mean()

    assert loss(1.0) < min(loss(0.5), loss(2.0))
    sure = np.exp(found.max(1)).mean()
    assert sure == pytest.approx((found.argmax(1) == y[~known]).mean(), abs=0.03)


def test_the_temperature_changes_no_decision():
    x, y, group = problem(d=30, effect=0.6)
    probe = fit_probe(x, y, group, 3)
    asked = problem(n=300, d=30, seed=1)[0]
    guess = plain(x, y, probe.penalty)(asked).argmax(1)
    assert (probe.predict_log_proba(asked).argmax(1) == guess).mean() > 0.99


def test_who_knows_nothing_is_not_sure():
    x, y, group = problem(n=600, d=200, n_classes=2, effect=0)
    known = group < 3
    probe = fit_probe(x[known], y[known], group[known], 2)
    assert np.exp(probe.predict_log_proba(x[~known])).max(1).mean() < 0.6


def test_the_held_out_score_is_over_groups_not_windows():
    """A class can be told within a person only: by who it is. New people are at chance."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 10)
    y = np.repeat(rng.integers(0, 2, 40), 10)  # of the whole person
    x = rng.normal(size=(40, 20))[group] + 0.01 * rng.normal(size=(400, 20))
    assert fit_probe(x, y, group, 2).validation_score < 0.7


def test_shuffled_labels_give_chance():
    x, y, group = problem(n=1500, d=30, n_classes=2, n_groups=15, effect=3)
    assert fit_probe(x, y, group, 2).validation_score > 0.95
    y = np.random.default_rng(1).permutation(y)
    assert fit_probe(x, y, group, 2).validation_score == pytest.approx(0.5, abs=0.05)


def test_classes_weigh_alike():
    x, y, group = problem(n=600, d=4, n_classes=2, effect=1.5)
    kept = (y == 0) | (np.arange(600) % 10 == 1)  # a tenth as many of class 1
    probe = fit_probe(x[kept], y[kept], group[kept], 2)
    guess = probe.predict_log_proba(x[~kept]).argmax(1)  # all of class 1
    assert guess.mean() > 0.6


def test_absent_features_count_as_the_mean():
    x, y, group = problem(d=12)
    probe = fit_probe(x, y, group, 3)
    gaps = x.copy()
    gaps[:, 3] = np.nan
    mean = x.copy()
    mean[:, 3] = probe.mean[3]
    np.testing.assert_allclose(
        probe.predict_log_proba(gaps), probe.predict_log_proba(mean), rtol=1e-5, atol=1e-6
    )
    assert np.isfinite(probe.predict_log_proba(np.full((2, 12), np.nan))).all()


def test_gaps_in_training_are_no_values():
    x, y, group = problem(d=12)
    x[::7, 2] = np.nan
    x[:, 5] = np.nan  # never there
    x[:, 6] = 3.5  # never varies
    probe = fit_probe(x, y, group, 3)
    assert probe.mean[2] == pytest.approx(np.nanmean(x[:, 2]), rel=1e-5)
    assert (probe.scale[[5, 6]] == 0).all()
    other = x.copy()
    other[:, 5:7] = 1e6
    np.testing.assert_array_equal(probe.predict_log_proba(other), probe.predict_log_proba(x))
    assert np.isfinite(probe.weight).all()


def test_a_class_without_windows_is_named():
    x, y, group = problem()
    with pytest.raises(TaskError, match=r"No window to learn from is of class \[1, 3\]"):
        fit_probe(x[y != 1], y[y != 1], group[y != 1], 4)


def test_a_class_that_one_group_alone_has_is_learnt():
    """Held out, the class cannot be learnt: that fold says nothing, the others do."""
    x, y, group = problem(n=120, effect=3, n_classes=2)
    kept = (y == 0) | (group == 0)
    probe = fit_probe(x[kept], y[kept], group[kept], 2)
    assert probe.predict_log_proba(x[kept]).shape == (kept.sum(), 2)
    assert 0 <= probe.validation_score <= 1


def test_a_single_group_is_divided_by_windows():
    x, y, _ = problem(effect=3)
    probe = fit_probe(x, y, np.zeros(60), 3)
    assert probe.validation_score > 0.7
    again = fit_probe(x, y, np.zeros(60), 3)
    np.testing.assert_array_equal(probe.weight, again.weight)


@pytest.mark.parametrize("n_groups", [1, 2])
def test_two_windows_per_class_are_enough(n_groups):
    x, y, _ = problem(n=4, d=50, n_classes=2, effect=5)
    probe = fit_probe(x, y, np.arange(4) // 2 % n_groups, 2)
    assert np.isfinite(probe.predict_log_proba(x)).all()


def test_one_window_per_class_is_enough():
    """Ten labelled windows are few, one is the fewest: nothing is left to choose a penalty by."""
    x, y, group = problem(n=2, d=50, n_classes=2, effect=5)
    probe = fit_probe(x, y, group * 0, 2)
    assert (probe.predict_log_proba(x).argmax(1) == y).all()
