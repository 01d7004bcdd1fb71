"""What the benchmarks measure with, and the harness that runs them."""

import json
import sys
import time

import measure
import pytest
import run_all


def allocate(n_mib):
    return len(bytearray(n_mib * 2**20).replace(b"\0", b"\1"))


def test_runs_take_turns_and_the_slower_is_slower():
    order = []
    runs = {
        "slow": lambda: order.append("slow") or time.sleep(0.05),
        "fast": lambda: order.append("fast"),
    }
    times = measure.alternate(runs, 2, warm_up=1)
    assert order == ["fast", "slow", "slow", "fast", "fast", "slow"]
    assert {name: len(values) for name, values in times.items()} == {"slow": 2, "fast": 2}
    assert measure.ratio(times, "slow", "fast") > 10
    assert measure.seconds(times)["slow_s"] >= 0.05


def test_the_peak_of_a_child_is_its_own():
    ballast = bytearray(200 * 2**20).replace(b"\0", b"\1")  # of the parent
    result, small = measure.in_child(allocate, 1)
    _, large = measure.in_child(allocate, 100)
    assert result == 2**20
    assert small < 150
    assert large - small > 150  # bytearray and its copy
    assert measure.peak_rss_mb() > 200
    del ballast


def test_the_last_line_is_json_of_four_digits(capsys):
    measure.report({"a": 1.23456, "b": [1, 2.00001], "c": {"d": 1e-9}, "e": "x"})
    assert capsys.readouterr().out == '{"a": 1.235, "b": [1, 2.0], "c": {"d": 1e-09}, "e": "x"}\n'


@pytest.fixture
def harness(tmp_path, monkeypatch):
    """Three scripts: one that works, one that fails, one that leaves a figure out."""
    scripts = {
        "good": "print('on the way'); print('{\"x\": 2.0, \"note\": [1, 0.5]}')",
        "bad": "raise SystemExit(3)",
        "short": "print('{\"y\": 1}')",
    }
    for name, text in scripts.items():
        (tmp_path / f"{name}.py").write_text(text)
    targets = {"x": run_all.Target(">=", 3), "gpu": run_all.Target(">", 1)}
    table = {"good": ("a good one", targets), "bad": ("a bad one", {})}
    table |= {"short": ("a short one", {"x": run_all.Target("<", 1)}), "none": ("absent", {})}
    monkeypatch.setattr(run_all, "BENCHMARKS", table)
    monkeypatch.setattr(run_all, "GPU_ONLY", {"gpu"})
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run_all, "PAGE", tmp_path / "page.md")
    machine = {**measure.machine(), "gpu": None, "load": 0.5}
    monkeypatch.setattr(run_all, "machine", lambda: machine)
    return tmp_path


def test_what_fails_is_told_and_the_rest_is_run(harness, capsys):
    assert run_all.main([]) == 1
    err = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in err] == [
        "FAILED bad: exit status 3",
        "FAILED short: it printed no x",
        "FAILED none: there is no such script",
    ]
    result = json.loads((harness / "results" / "good.json").read_text())
    assert result["figures"] == {"x": 2.0, "note": [1, 0.5]}
    page = (harness / "page.md").read_text()
    assert "| `good.py` | `x` | >= 3 | 2 | **no** | 0.5 |" in page
    assert "| `good.py` | `gpu` | > 1 | needs a GPU | - | 0.5 |" in page
    assert "Not measured yet: `bad.py`, `short.py`, `none.py`." in page


def test_only_some_leaves_the_rows_of_others(harness):
    assert run_all.main(["--only", "good"]) == 0
    page = (harness / "page.md").read_text()
    (harness / "good.py").unlink()
    assert run_all.main(["--only", "bad"]) == 1
    assert (harness / "page.md").read_text() == page
    (harness / "page.md").unlink()
    assert run_all.main(["--page"]) == 0
    assert (harness / "page.md").read_text() == page


def test_a_gpu_has_rows_of_its_own(harness, monkeypatch):
    run_all.main(["--only", "good"])
    on_gpu = {**run_all.machine(), "gpu": "H200"}
    monkeypatch.setattr(run_all, "machine", lambda: on_gpu)
    (harness / "good.py").write_text('print(\'{"x": 4, "gpu": 0.5}\')')
    assert run_all.main(["--only", "good"]) == 0
    page = (harness / "page.md").read_text()
    assert "## H200, " in page
    assert "| `good.py` | `x` | >= 3 | 2 | **no** | 0.5 |" in page
    assert "| `good.py` | `x` | >= 3 | 4 | yes | 0.5 |" in page
    assert "| `good.py` | `gpu` | > 1 | 0.5 | **no** | 0.5 |" in page
    assert "**`good.py`, on a GPU**: a good one." in page


def test_every_script_of_the_table_is_there():
    for script in run_all.BENCHMARKS:
        text = (run_all.HERE / f"{script}.py").read_text(encoding="utf-8")
        assert "from measure import" in text, script  # and so the last line is JSON


@pytest.mark.parametrize(
    ("sense", "values"), [(">=", (1, 2)), (">", (2,)), ("<=", (0, 1)), ("<", (0,))]
)
def test_targets(sense, values):
    assert [x for x in (0, 1, 2) if run_all.Target(sense, 1).met(x)] == list(values)


def test_the_interpreter_is_the_one_that_runs_the_harness(harness):
    (harness / "good.py").write_text(
        "import json, sys; print(json.dumps({'x': 3, 'path': sys.executable}))"
    )
    run_all.main(["--only", "good"])
    result = json.loads((harness / "results" / "good.json").read_text())
    assert result["figures"]["path"] == sys.executable
