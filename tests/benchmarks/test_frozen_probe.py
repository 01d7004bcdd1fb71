import frozen_probe
import numpy as np
import pytest
from frozen_probe import ONE_HERTZ, Outcome, Task
from sklearn.linear_model import LogisticRegression

RNG = np.random.default_rng(0)


def made_up_task(n_subjects=10, n_each=8, n_features=300, signal=1.5):
    """Two classes that differ along one direction; every subject with an offset of their own."""
    subject = np.repeat(np.arange(n_subjects), 2 * n_each)
    y = np.tile(np.repeat([0, 1], n_each), n_subjects)
    x = (
        RNG.normal(size=(len(y), n_features))
        + 3 * RNG.normal(size=(n_subjects, n_features))[subject]
    )
    x[:, 0] = signal * 10 * y + RNG.normal(size=len(y))
    return x, Task("made up", x[:, None], y, subject, subject, [8, 9])


def test_the_rotation_changes_no_prediction():
    x, task = made_up_task()
    train, asked = x[:80], x[80:]
    turned, turned_asked = frozen_probe.rotated(train, asked)
    assert turned.shape[1] < len(train) < x.shape[1]
    scale = train.std(0) * x.shape[1] ** 0.5
    plain, plain_asked = (train - train.mean(0)) / scale, (asked - train.mean(0)) / scale
    expected = LogisticRegression(C=10.0, max_iter=5000, tol=1e-8).fit(plain, task.y[:80])
    found = LogisticRegression(C=10.0, max_iter=5000, tol=1e-8).fit(turned, task.y[:80])
    np.testing.assert_allclose(
        found.decision_function(turned_asked), expected.decision_function(plain_asked), atol=1e-4
    )


def test_few_features_stay_as_they_are():
    x, _ = made_up_task(n_features=5)
    train, _ = frozen_probe.rotated(x, x)
    assert train.shape == x.shape
    np.testing.assert_allclose((train**2).sum(1).mean(), 1)  # of mean square 1 altogether


def test_constant_features_are_no_trouble():
    x, _ = made_up_task(n_features=5)
    x[:, 2] = 7
    assert np.isfinite(frozen_probe.rotated(x, x)[0]).all()


def test_a_probe_finds_what_is_there_and_nothing_in_noise():
    x, task = made_up_task(n_features=20)
    found = frozen_probe.probe(x, task, "test")
    assert found.accuracy() > 0.95
    assert set(found.subject) == {8, 9}
    assert set(frozen_probe.probe(x, task, "design").subject) == set(range(8))
    shuffled = task._replace(y=RNG.permutation(task.y))
    assert abs(frozen_probe.probe(x, shuffled, "test").accuracy() - 0.5) < 0.25  # 32 windows: 3 sd


def test_test_subjects_decide_nothing_for_design():
    x, task = made_up_task()
    before = frozen_probe.probe(x, task, "design")
    is_test = np.isin(task.subject, task.test)
    x[is_test] = 1e3 * RNG.normal(size=x[is_test].shape)
    after = frozen_probe.probe(x, task._replace(y=np.where(is_test, 0, task.y)), "design")
    np.testing.assert_array_equal(before.guess, after.guess)


def test_standardised_features_have_no_session():
    x, task = made_up_task()
    found = frozen_probe.standardised(x, task.session)
    for session in np.unique(task.session):
        part = found[task.session == session]
        np.testing.assert_allclose(part.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(part.std(0), 1, atol=1e-4)


@pytest.mark.parametrize("seconds", [None, 1.0])
def test_band_power_of_a_sine(seconds):
    t = np.arange(600) / 200
    x = np.stack([10 * np.sin(2 * np.pi * 13 * t), 10 * np.sin(2 * np.pi * 21 * t)])[None]
    power = frozen_probe.band_power(x, ONE_HERTZ, seconds).reshape(2, 45)
    assert power.argmax(1).tolist() == [12, 20]  # bins from 1 Hz


def test_the_bootstrap_pairs_subjects():
    y = np.tile([0, 1], 40)
    subject = np.repeat(np.arange(10), 8)
    right, half = Outcome(y, y, y, subject), Outcome(y, np.zeros(80), y, subject)
    assert frozen_probe.bootstrap({"a": [right]}, {"a": [right]}) == [0, 0]
    assert frozen_probe.bootstrap({"a": [right]}, {"a": [half]}) == [0.5, 0.5]
    assert frozen_probe.bootstrap({"a": [right], "b": [half]}, {"a": [half], "b": [half]}) == [
        0.25,
        0.25,
    ]
