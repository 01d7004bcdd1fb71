"""Against real outlets on loopback, each in a process of its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_stream_command import table, wait_for

pytest.importorskip("mne_lsl", reason='needs pip install "eegfoundation[realtime]"')
HERE = Path(__file__).parent


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start Python in a process that sees the streams of this machine only."""
    config = tmp_path / "lsl_api.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n")
    monkeypatch.setenv("LSLAPICFG", str(config))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    started = []

    def run(*args):
        with (tmp_path / f"err{len(started)}").open("w") as err:
            started.append(
                subprocess.Popen(
                    [sys.executable, *map(str, args)],
                    stdout=subprocess.PIPE,
                    stderr=err,
                    text=True,
                )
            )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_stream_with_a_gap_a_dead_channel_and_a_device_that_comes_back(start, tmp_path):
    name, out = f"device-{tmp_path.name}", tmp_path / "a.csv"
    first = start(HERE / "outlet.py", name, 60, 6, 7.5)
    assert first.stdout.readline() == "there\n"
    stream = start(
        *("-m", "eegfoundation.cli", "stream", "--lsl", name, "--timeout", 30, "--window", 1),
        *("--every", 0.25, "--out", out, "--outlet", f"{name}-predictions"),
    )
    listener = start(HERE / "listener.py", f"{name}-predictions", 12)

    def said(text):
        return lambda: text in (tmp_path / "err1").read_text()

    wait_for(said("Cz: no signal"))
    first.kill()  # the device is unplugged
    wait_for(said("is lost"))
    unfinished = out.with_name("a.csv.unfinished")
    wait_for(lambda: table(unfinished)[-1]["status"].startswith("no samples"))
    second = start(HERE / "outlet.py", name, 60, 99, 99)
    assert second.stdout.readline() == "there\n"
    wait_for(said("is back"))
    n_rows = len(table(unfinished))
    wait_for(lambda: sum(row["status"] == "ok" for row in table(unfinished)[n_rows:]) > 8)
    stream.send_signal(signal.SIGINT)
    shown, _ = stream.communicate(timeout=30)
    assert stream.returncode == 0, (tmp_path / "err1").read_text()
    assert "predictions" in shown.splitlines()[-1]

    rows = table(out)
    history = json.loads(out.with_suffix(".preprocessing.json").read_text())
    assert history["reading"]["units"] == "uV"
    assert history["preprocessing"]["resampled_by"] == "2/5"
    assert history["stream"]["n_gaps"] >= 2  # ours, and the time without a device
    assert said("gap: 0.5 s (250 samples)")()
    # what is predicted is probabilities, what is not is empty
    for row in rows:
        shares = [row[f"p_{c}"] for c in ("left_hand", "right_hand", "feet", "tongue")]
        if row["status"] == "ok":
            assert sum(map(float, shares)) == pytest.approx(1, abs=1e-4)
        else:
            assert set(shares) == {""}
    assert any(row["lost"] == "Cz" and row["status"] == "ok" for row in rows)
    assert rows[-1]["lost"] == ""
    assert any(0.3 < float(row["quality"]) < 0.9 for row in rows)  # the gap passes through
    heard, _ = listener.communicate(timeout=30)
    names, *samples = map(json.loads, heard.splitlines())
    assert names == ["p_left_hand", "p_right_hand", "p_feet", "p_tongue", "quality"]
    assert len(samples) == 12
    assert all(0 <= sample[0] < 10 for sample in samples)  # stamps are of this machine's clock


def test_a_stream_that_is_not_there_is_said(start, tmp_path):
    process = start(
        *("-m", "eegfoundation.cli", "stream", "--lsl", "nobody-is-called-this"),
        *("--timeout", 0.5),
    )
    assert process.wait(timeout=60) == 2
    assert "No LSL stream is called 'nobody-is-called-this'" in (tmp_path / "err0").read_text()
