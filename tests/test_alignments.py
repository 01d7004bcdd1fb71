import pytest

from eegfoundation.alignments import (
    ALIGNMENTS,
    n_covariances,
    require_flickers,
    standardises,
    whitens,
)
from eegfoundation.errors import ConfigError


def test_who_needs_what():
    assert [whitens(one) for one in ALIGNMENTS] == [False, False, True, True, True]
    assert [standardises(one) for one in ALIGNMENTS] == [False, True, False, True, True]
    assert n_covariances(5, None) == 7 * 15
    assert n_covariances(5, [10.0, 17.0]) == 2


@pytest.mark.parametrize(
    ("flicker_hz", "message"),
    [
        ([], "a list of different frequencies from 1 to 45 Hz"),
        ([13, 13.0], "a list of different frequencies"),
        ([0.0, 13.0], "a list of different frequencies"),
        ([float("nan")], "a list of different frequencies"),
        ([True], "a list of different frequencies"),
        ("13", "flicker_hz='13'; a list"),
        (13.0, "flicker_hz=13.0; a list"),
    ],
)
def test_impossible_flickers_are_one_sentence(flicker_hz, message):
    with pytest.raises(ConfigError, match=message):
        require_flickers(flicker_hz)


def test_possible_flickers():
    require_flickers(None, used=False)
    require_flickers((13, 21.5))
    with pytest.raises(ConfigError, match="found neither; leave it out"):
        require_flickers([13.0], used=False)
