"""Smoke run of benchmarks/cost_growth.py."""

import cost_growth
import numpy as np
import pytest

import eegfoundation


def test_the_file_is_noise_of_twenty_microvolts(tmp_path):
    path = cost_growth.write_noise(tmp_path / "n.edf", 3, 70, 100)
    recording = eegfoundation.read_recording(path)
    assert (recording.n_chans, recording.sfreq, recording.n_times) == (3, 100, 7000)
    x = recording.get_data()
    assert x.std(axis=1) == pytest.approx([20] * 3, rel=0.05)
    assert abs(np.corrcoef(x)[0, 1]) < 0.1


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_slopes_are_exponents(power):
    sizes = [1, 10, 100]
    assert cost_growth.slopes(sizes, [3 * n**power for n in sizes]) == pytest.approx((power,) * 2)


def test_the_steepest_stretch_is_found():
    mean, steepest = cost_growth.slopes([1, 10, 100], [1, 1, 100])
    assert (mean, steepest) == pytest.approx((1, 2))


@pytest.mark.filterwarnings("ignore:.*UNTRAINED")
def test_a_tiny_run(tmp_path):
    tiny = cost_growth.random_tiny(tmp_path)
    path = cost_growth.write_noise(tmp_path / "n.edf", 2, 12)
    assert cost_growth.embed(path, tiny, 1) > 0
    assert not list(tmp_path.glob("*/*.npz"))


def test_a_point_is_a_process_of_its_own(tmp_path):
    times, peaks = cost_growth.growth([(2, 11)], tmp_path)
    assert times[0] > 0
    assert 100 < peaks[0] < 2000
    assert not list(tmp_path.glob("*.edf"))
