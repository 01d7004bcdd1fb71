"""Windows without labels teach, and their labels are never looked at."""

import numpy as np
import pytest

from eegfoundation import self_training
from eegfoundation.probe import fit_probe
from eegfoundation.self_training import average_log_proba, fit_self_trained


def clusters(seed, n_members=1, n=120, d=12, n_classes=2):
    """Classes far apart along a line that few windows do not show; labelled, others, asked."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    members = []
    for _ in range(n_members):
        centres = rng.normal(size=(n_classes, d))
        members.append((centres[y] + 1.5 * rng.normal(size=(n, d))).astype(np.float32))
    group = np.arange(n) // n_classes % 8
    labelled = np.flatnonzero(np.arange(n) < 4 * n_classes)
    return members, y, group, labelled, np.setdiff1d(np.arange(n), labelled)


def right(probes, members, y, asked):
    return (average_log_proba(probes, members, asked).argmax(1) == y[asked]).mean()


@pytest.mark.parametrize(("n_members", "n_classes"), [(1, 2), (2, 3)])
def test_it_learns_from_windows_without_labels(n_members, n_classes):
    gained = []
    for seed in range(4):
        members, y, group, labelled, others = clusters(seed, n_members, n_classes=n_classes)
        plain = [fit_probe(x[labelled], y[labelled], group[labelled], n_classes) for x in members]
        taught = fit_self_trained(members, y, group, labelled, others, n_classes)
        gained.append(right(taught, members, y, others) - right(plain, members, y, others))
    assert np.mean(gained) > 0.03
    assert min(gained) > -0.15


def test_labels_of_the_others_are_not_looked_at():
    members, y, group, labelled, others = clusters(0)
    lies = y.copy()
    lies[others] = -1
    (one,), (other,) = (
        fit_self_trained(members, told, group, labelled, others, 2) for told in (y, lies)
    )
    np.testing.assert_array_equal(one.weight, other.weight)


def test_without_others_it_is_the_probe():
    members, y, group, labelled, _ = clusters(0)
    (found,) = fit_self_trained(members, y, group, labelled, labelled[:0], 2)
    plain = fit_probe(members[0][labelled], y[labelled], group[labelled], 2)
    np.testing.assert_array_equal(found.weight, plain.weight)


def test_no_class_takes_all(monkeypatch):
    """One class is guessed far more often than it is there: as many of each are learnt from."""
    members, y, group, labelled, others = clusters(1)
    members[0][others] += 3 * (members[0][y == 0].mean(0) - members[0][y == 1].mean(0))
    counts = []

    def count(x, classes, *rest):
        counts.append(np.bincount(classes, minlength=2))
        return fit_probe(x, classes, *rest)

    monkeypatch.setattr(self_training, "fit_probe", count)
    fit_self_trained(members, y, group, labelled, others, 2)
    assert len(counts) == 1 + len(self_training.SHARES)
    for found, share in zip(counts[1:], self_training.SHARES, strict=True):
        assert found.max() <= 4 + share * len(others) / 2


def test_the_average_is_of_probabilities():
    members, y, group, labelled, others = clusters(2, n_members=2)
    probes = [fit_probe(x[labelled], y[labelled], group[labelled], 2) for x in members]
    parts = [np.exp(p.predict_log_proba(x[others])) for p, x in zip(probes, members, strict=True)]
    found = average_log_proba(probes, members, others)
    np.testing.assert_allclose(np.exp(found), np.mean(parts, 0), rtol=1e-6)
