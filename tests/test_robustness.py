"""Damaged input by every entry point: a dozen damages here, all of them in `make test-long`.

And mutated input: some dozen trials here, an hour of them there.
"""

import json
import os
import subprocess
import sys

import pytest

from shared_data import ROOT, shared_path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="trials are forked")


def run_script(name, *flags):
    """Run a script; its last line, and what failed."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *flags],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    failed = [line for line in lines if "FAILED" in line or line.startswith("FOUND")]
    assert lines[-1].startswith("{"), done.stderr
    return json.loads(lines[-1]), "\n".join(failed)


def test_a_dozen_damages():
    found, failed = run_script("robustness.py", "--quick")
    assert found["failures"] == 0, failed
    assert found["damages"] >= 12
    assert found["trials"] >= 60


@pytest.mark.long
def test_every_damage_by_every_entry_point():
    found, failed = run_script("robustness.py")
    assert found["failures"] == 0, failed
    assert found["damages"] >= 60
    assert found["entry_points"] >= 30


@pytest.mark.long
def test_real_recordings_damaged_at_random():
    found, failed = run_script(
        "robustness.py", "--real", str(shared_path("formats")), "--seeds", "40"
    )
    assert found["failures"] == 0, failed


def test_mutations_of_every_group(tmp_path):
    found, failed = run_script("fuzz.py", "--trials", "60", "--seed", "0", "--keep", str(tmp_path))
    assert found["findings"] == 0, failed
    assert set(found["groups"]) == {"recording", "corpus", "checkpoint", "config", "table"}
    assert min(found["groups"].values()) >= 5


def test_a_planted_fault_is_found_and_made_small(tmp_path):
    found, failed = run_script(
        "fuzz.py", "--planted", "--trials", "200", "--seed", "0", "--keep", str(tmp_path)
    )
    assert found["findings"] == 1, found
    assert "ValueError" in failed
    (kept,) = tmp_path.iterdir()
    with pytest.raises(ValueError, match="invalid literal"):
        int((kept / "in" / "x.edf").read_bytes()[252:256])
    assert "ValueError" in (kept / "stderr").read_text()
    assert ";" not in (kept / "plan.txt").read_text()  # one change


@pytest.mark.long
def test_an_hour_of_mutations(tmp_path):
    minutes = os.environ.get("EEGFOUNDATION_FUZZ_MINUTES", "60")
    found, failed = run_script("fuzz.py", "--minutes", minutes, "--keep", str(tmp_path))
    print(json.dumps(found))
    assert found["findings"] == 0, failed
    assert found["minutes"] >= float(minutes)
