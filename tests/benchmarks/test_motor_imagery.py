import json

import motor_imagery
import pytest

from eegfoundation.prediction import load_classifier
from eegfoundation.synthetic import BCIC_2A_CHANNELS


@pytest.fixture(scope="module")
def model():
    with pytest.warns(UserWarning, match="SIMULATED"):
        return load_classifier()


def test_the_classifier_that_ships_is_good_at_what_it_was_trained_on(model):
    """Simulated people whom it never saw; guessing gives 0.25."""
    found = motor_imagery.accuracies(model, 1.5, BCIC_2A_CHANNELS, subjects=3, n=4)
    assert sum(found) / 3 > 0.5


def test_without_rhythms_it_guesses(model):
    """At snr 0 a trial holds no information on its class: anything better would be a leak."""
    found = motor_imagery.accuracies(model, 0.0, BCIC_2A_CHANNELS, subjects=3, n=4)
    assert sum(found) / 3 == pytest.approx(0.25, abs=0.2)


def test_the_table_and_its_json(capsys):
    motor_imagery.main(["--subjects", "1", "--trials", "1"])
    *table, last = capsys.readouterr().out.splitlines()
    rows = json.loads(last)["rows"]
    assert len(rows) == len(table) - 2 == 7
    assert all(0 <= row["balanced_accuracy"] <= 1 for row in rows)
