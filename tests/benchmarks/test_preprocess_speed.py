"""The benchmark of preprocessing runs, and what it compares is the same."""

import preprocess_speed


def test_it_runs_on_two_minutes_and_both_chains_agree():
    found = preprocess_speed.measure(n_seconds=120, n_chans=2, repeats=1)
    assert found["rms_difference"] < 0.01
    assert found["pass_band_db"] < 0.5
    assert found["vs_mne_default"] > 0
    assert found["memory_ratio"] >= 0
    assert found["machine"]["load"] >= 0
