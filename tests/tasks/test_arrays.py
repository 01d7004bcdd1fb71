import numpy as np
import pytest

from eegfoundation import Preprocessing, preprocess, read_recording
from eegfoundation.errors import RecordingError, TaskError
from eegfoundation.tasks import trials_from_arrays
from samples import noise

SETTINGS = Preprocessing(reference="average")
OPTIONS = {"sfreq": 125, "ch_names": ["C3", "EOG", "C4"], "preprocessing": SETTINGS}


def test_windows_are_filtered_resampled_and_labelled():
    x, y = noise(6, 3, 250), ["go", "stop", "go", "go", "stop", "go"]
    trials = trials_from_arrays(
        x, y, [1, 1, 1, 2, 2, 2], session=list("aabaab"), classes=["stop", "go"], **OPTIONS
    )
    assert (trials.x.shape, trials.ch_names) == ((6, 2, 400), ("C3", "C4"))
    assert trials.y.tolist() == [1, 0, 1, 1, 0, 1]
    assert trials.group("session").tolist() == ["1/a", "1/a", "1/b", "2/a", "2/a", "2/b"]
    recording = read_recording(x, sfreq=125, ch_names=OPTIONS["ch_names"])
    np.testing.assert_array_equal(trials.x, preprocess(recording, SETTINGS).get_data())
    volts = trials_from_arrays(x * 1e-6, y, "P1", units="V", **OPTIONS)
    np.testing.assert_allclose(volts.x, trials.x, atol=1e-3)
    assert (volts.classes, set(volts.subject)) == (("go", "stop"), {"P1"})


def test_labels_may_be_numbers():
    trials = trials_from_arrays(noise(3, 3, 250), np.array([10, 9, 10]), "P1", **OPTIONS)
    assert trials.classes == ("9", "10")
    assert trials.y.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": [0, 1]}, r"y has shape \(2,\) for 3 windows"),
        ({"subject": [["a"], ["b"], ["c"]]}, r"subject has shape \(3, 1\)"),
        ({"y": [1, 1, 1]}, "expected two or more different labels"),
        ({"classes": ["0", "2"]}, "y has the label '1'; expected 0, 2"),
        ({"x": noise(3, 250)}, r"x has shape \(3, 250\)"),
    ],
)
def test_contradictions_are_told(changed, message):
    given = {"x": noise(3, 3, 250), "y": [0, 1, 0], "subject": "P1", **changed}
    with pytest.raises(TaskError, match=message):
        trials_from_arrays(**given, **OPTIONS)


def test_implausible_amplitudes_are_refused():
    with pytest.raises(RecordingError, match="pass units='V'"):
        trials_from_arrays(noise(3, 3, 250) * 1e-6, [0, 1, 0], "P1", **OPTIONS)
