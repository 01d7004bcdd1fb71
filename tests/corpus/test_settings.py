import json

import pytest

from eegfoundation.corpus.settings import CorpusSettings
from eegfoundation.errors import ConfigError
from eegfoundation.montage import CHANNELS_10_20
from eegfoundation.preprocessing import Preprocessing


def test_tueg_is_the_published_recipe() -> None:
    settings = CorpusSettings.for_layout("tueg")
    assert settings.channels == CHANNELS_10_20
    assert len(set(CHANNELS_10_20)) == 19
    assert (settings.min_duration, settings.skip_start, settings.skip_end) == (300, 60, 60)
    assert (settings.segment, settings.segment_uv, settings.windows_per_segment) == (30, 100, 3)
    band = settings.preprocessing
    assert (band.sfreq, band.highpass, band.lowpass, band.notch) == (200, 0.3, 75, 60)
    assert band.artefact_uv is None


def test_choices_go_before_the_layout() -> None:
    settings = CorpusSettings.for_layout("tueg", min_duration=30.0, notch=50.0, window=None)
    assert (settings.min_duration, settings.preprocessing.notch, settings.window) == (30, 50, 10)
    off = CorpusSettings.for_layout("tueg", segment_uv=0.0, highpass=0.0, channels=[])
    assert (off.segment_uv, off.preprocessing.highpass, off.channels) == (None, None, None)
    assert off.preprocessing.artefact_uv == Preprocessing().artefact_uv


def test_a_limit_for_segments_takes_the_place_of_that_for_samples() -> None:
    settings = CorpusSettings.for_layout("folder", segment_uv=80.0)
    assert settings.preprocessing.artefact_uv is None
    with pytest.raises(ConfigError, match="switch one off"):
        CorpusSettings.for_layout("folder", segment_uv=80.0, artefact_uv=200.0)


def test_to_dict_survives_json() -> None:
    values = CorpusSettings.for_layout("tueg").to_dict()
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"window": 0}, "window must be a positive number"),
        ({"window": float("nan")}, "window must be a positive number"),
        ({"window": 0.0042}, "whole number of samples"),
        ({"min_quality": 0.0}, "min_quality"),
        ({"min_quality": 1.5}, "min_quality"),
        ({"window": 1e308}, "window must be at most"),
        ({"skip_start": 1e308}, "skip_start must be at most"),
        ({"segment": 25.0}, "multiple of the window"),
        ({"segment": 1e-320}, "multiple of the window"),
        ({"segment": 1e308}, "segment must be at most"),
        ({"min_duration": -1}, "min_duration"),
        ({"segment_uv": -5.0}, "segment_uv"),
        ({"segment_uv": 1e308}, "segment_uv must be at most"),
    ],
)
def test_impossible_values_are_refused(choices: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CorpusSettings(**choices)  # type: ignore[arg-type]


def test_windows_that_floats_do_not_divide_exactly() -> None:
    assert CorpusSettings(window=0.3, segment=0.9).windows_per_segment == 3
    assert CorpusSettings(window=2.3).n_times == 460
