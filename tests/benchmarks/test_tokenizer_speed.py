"""The benchmark of the tokenizer runs and names every scaling and direction."""

import tokenizer_speed


def test_it_runs_on_a_few_windows():
    found = tokenizer_speed.measure(n_windows=2, n_chans=3, n_times=200, repeats=1)
    each = [f"fraction_{way}_{s}" for way in ("encode", "decode") for s in ("asinh", "minmax")]
    assert found["fraction_of_copy"] == min(found[name] for name in each) > 0
