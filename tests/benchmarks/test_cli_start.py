"""Smoke run of benchmarks/cli_start.py."""

import json
import sys

import cli_start
import pytest


def test_a_short_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cli_start.py", "--repeats", "1"])
    cli_start.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(figures) == {"help_s", "embed_help_s", "import_s", "python_s"}
    assert 0 < figures["python_s"] < figures["help_s"]


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(cli_start.subprocess.CalledProcessError):
        cli_start.run("-c", "raise SystemExit(1)")
