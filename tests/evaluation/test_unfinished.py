import re

import numpy as np
import pytest

from eegfoundation.evaluation.compare import compare
from eegfoundation.evaluation.folds import make_folds
from eegfoundation.evaluation.row import Row
from eegfoundation.evaluation.unfinished import Unfinished
from evaluation_helpers import make_trials

TRIALS = make_trials(n_subjects=4, per_class=6, n_chans=1, n_times=8)
FOLDS = make_folds(TRIALS, "loso")
SETTINGS = {"task": "toy", "seeds": 2, "out": "results", "data": None, "overwrite": False}


class Fits:
    """Rows whose fits are counted, and which a kill interrupts."""

    def __init__(self, kill_at=None):
        self.done = 0
        self.kill_at = kill_at

    def predict(self, fold, seed):
        if self.done == self.kill_at:
            raise KeyboardInterrupt
        self.done += 1
        rng = np.random.default_rng([seed, fold.test[0]])
        return np.log(rng.dirichlet([1, 1], len(fold.test))), float(rng.random())

    def rows(self):
        more = {"kind": "baseline", "strategy": "s", "alignment": "none", "predict": self.predict}
        return [Row(model="a", **more), Row(model="b", seeded=True, **more)]


def results(fits, folder, settings=SETTINGS, known=()):
    rows = Unfinished(folder, settings, {"folds": list(known)}).remember(fits.rows())
    return compare(rows, TRIALS, FOLDS, seeds=2, progress=False)


def test_after_a_kill_it_goes_on_where_it_was(tmp_path):
    expected = compare(Fits().rows(), TRIALS, FOLDS, seeds=2, progress=False)
    first, second, third = Fits(kill_at=7), Fits(), Fits()
    with pytest.raises(KeyboardInterrupt):
        results(first, tmp_path)
    assert results(second, tmp_path) == expected
    assert (first.done, second.done) == (7, 3 * len(FOLDS) - 7)
    assert results(third, tmp_path) == expected
    assert third.done == 0


@pytest.mark.parametrize(
    ("changed", "known", "n_fits"),
    [
        ({"out": "elsewhere", "data": "disk", "overwrite": True}, (), 0),
        ({"seeds": 3}, (), 12),
        ({}, ("another",), 12),
    ],
)
def test_what_was_kept_counts_for_the_same_evaluation_only(tmp_path, changed, known, n_fits):
    results(Fits(), tmp_path)
    again = Fits()
    results(again, tmp_path, {**SETTINGS, **changed}, known)
    assert again.done == n_fits


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + bytes(200)])
def test_what_is_damaged_is_made_again(tmp_path, content):
    expected = results(Fits(), tmp_path)
    path = sorted(tmp_path.rglob("*.npz"))[0]
    path.write_bytes(content)
    again = Fits()
    with pytest.warns(UserWarning, match=f"{re.escape(str(path))} is damaged"):
        assert results(again, tmp_path) == expected
    assert again.done == 1


def test_nothing_stays(tmp_path):
    unfinished = Unfinished(tmp_path, SETTINGS, {})
    compare(unfinished.remember(Fits().rows()), TRIALS, FOLDS, seeds=2, progress=False)
    assert list(tmp_path.iterdir())
    unfinished.remove()
    assert not list(tmp_path.iterdir())
