import csv
import json
import signal as signals
import subprocess
import sys
import time
from pathlib import Path

import mne
import numpy as np
import pytest

from shared_data import shared_path

DEMO = Path(__file__).parents[2] / "demo_data" / "motor_imagery.edf"


def table(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_a_real_recording_is_replayed(command, tmp_path):
    """Arithmetic of eegmat, by the stress classifier that ships: a row each 100 ms."""
    file = shared_path("formats", "eegmat_Subject30_arithmetic.edf")
    short = mne.io.read_raw_edf(file, verbose="ERROR").crop(0, 7, include_tmax=False)
    mne.export.export_raw(tmp_path / "short.edf", short, verbose="ERROR")
    out = tmp_path / "deeper" / "a.csv"
    code, lines, messages = command(
        *("stream", "models/stress_model.pth", "--classifier_config", "models/stress_config.json"),
        *("--replay", tmp_path / "short.edf", "--speed", 0, "--out", out),
    )
    assert code == 0, messages
    rows = table(out)
    assert len(rows) == 70
    assert [row["status"] == "ok" for row in rows] == [False] * 49 + [True] * 21
    for row in rows[49:]:
        shares = float(row["p_rest"]), float(row["p_arithmetic"])
        assert sum(shares) == pytest.approx(1, abs=1e-4)
        assert row["predicted"] == ("rest", "arithmetic")[int(np.argmax(shares))]
        assert float(row["quality"]) > 0.98
    assert float(rows[-1]["time"]) == pytest.approx(7, abs=0.02)
    history = json.loads(out.with_suffix(".preprocessing.json").read_text())
    assert history["preprocessing"]["causal"]
    assert history["stream"]["n_predicted"] == 21
    assert "21 predictions" in lines[-1]
    code, _, messages = command("stream", "--replay", DEMO, "--out", out)
    assert code == 2
    assert "exists already" in messages[0]


def test_an_encoder_in_real_time(command, encoder_folder, tmp_path):
    out = tmp_path / "a.csv"
    code, _, messages = command(
        *("stream", encoder_folder, "--replay", DEMO, "--speed", 4, "--window", 1, "--every", 0.5),
        *("--duration", 6, "--out", out),
    )
    assert code == 0, messages
    last = table(out)[-1]
    assert last["status"] == "ok"
    assert np.isfinite([float(last[f"e{i:03d}"]) for i in range(128)]).all()
    assert 0 < float(last["latency_ms"]) < 5000


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "either --lsl NAME or --replay FILE"),
        (["--replay", "a.edf", "--lsl", "x"], "either --lsl NAME or --replay FILE"),
        (["--replay", DEMO, "--threads", 0], "threads"),
        (["--replay", DEMO, "--threads", 10**30], "threads must be at most 1024"),
        (["--replay", DEMO, "--duration", -1], "duration"),
        (["--replay", DEMO, "--every", 0], "every must lie"),
        (["--replay", DEMO, "--window", "1e6"], "and at most 600 s, found 1000000.0"),
        (["--replay", DEMO, "--line_freq", "1e-320"], "line_freq must be a positive number"),
        (["nothing", "--replay", DEMO], "No encoder is called"),
    ],
)
def test_what_cannot_be_done_is_said(command, args, message):
    code, _, messages = command("stream", *args)
    assert code == 2
    assert message in messages[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_ctrl_c_ends_cleanly_with_whole_rows(tmp_path, encoder_folder):
    out = tmp_path / "a.csv"
    args = ["stream", encoder_folder, "--replay", DEMO, "--window", "1", "--out", out]
    with subprocess.Popen(
        [sys.executable, "-m", "eegfoundation.cli", *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        rows = tmp_path / "a.csv.unfinished"
        wait_for(lambda: rows.exists() and rows.read_text().count("ok") > 3)
        assert not out.exists()
        process.send_signal(signals.SIGINT)
        shown, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "predictions, " in shown.splitlines()[-1]
    assert out.read_text().endswith("ok\n")
    columns = out.read_text().splitlines()[0].count(",")
    assert {line.count(",") for line in out.read_text().splitlines()} == {columns}
    assert out.with_suffix(".preprocessing.json").exists()
