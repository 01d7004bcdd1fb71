"""Damaged input by every entry point: a dozen damages here, all of them in `make test-long`."""

import json
import os
import subprocess
import sys

import pytest

from shared_data import ROOT, shared_path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="trials are forked")


def robustness(*flags):
    """Run scripts/robustness.py; its last line, and what failed."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "robustness.py", *flags],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    failed = [line for line in lines if "FAILED" in line]
    return json.loads(lines[-1]), "\n".join(failed)


def test_a_dozen_damages():
    found, failed = robustness("--quick")
    assert found["failures"] == 0, failed
    assert found["damages"] >= 12
    assert found["trials"] >= 60


@pytest.mark.long
def test_every_damage_by_every_entry_point():
    found, failed = robustness()
    assert found["failures"] == 0, failed
    assert found["damages"] >= 60
    assert found["entry_points"] >= 30


@pytest.mark.long
def test_real_recordings_damaged_at_random():
    found, failed = robustness("--real", str(shared_path("formats")), "--seeds", "40")
    assert found["failures"] == 0, failed
