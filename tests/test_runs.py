"""The account of a training: whose it is, what must not change, which commit made it."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from eegfoundation import runs
from eegfoundation.errors import ConfigError, OutputError


def test_an_earlier_run_is_found_again(tmp_path):
    assert runs.earlier_run(tmp_path, "a training", settings=dict) is None
    account = {"settings": {"steps": 3}, "note": "kept"}
    (tmp_path / runs.RUN).write_text(json.dumps(account))
    assert runs.earlier_run(tmp_path, "a training", settings=dict) == account


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "5",
        '{"settings": 3}',
        "{}",
        "[" * 100_000,
        '{"settings": {"a": NaN}}',
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_account_is_refused(tmp_path, content):
    path = tmp_path / runs.RUN
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(OutputError, match="is damaged, or not of a training; choose another"):
        runs.earlier_run(tmp_path, "a training", settings=dict)


def test_checkpoints_without_an_account_are_refused(tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    with pytest.raises(ConfigError, match=r"has checkpoints but no run\.json"):
        runs.earlier_run(tmp_path, "a training")


def test_what_changed_is_named(tmp_path):
    runs.refuse_changes(tmp_path, [])
    with pytest.raises(ConfigError, match=r"other values of \['seed', 'steps'\]"):
        runs.refuse_changes(tmp_path, ["seed", "steps"])


def git(folder, *args):
    subprocess.run(["git", "-C", folder, *args], check=True, capture_output=True)


def test_the_commit_is_that_of_our_own_repository(tmp_path, monkeypatch):
    """Installed into an environment within another project's clone, its commit says nothing."""
    source = tmp_path / "project" / "venv" / "runs.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    monkeypatch.setattr(runs, "__file__", str(source))
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    git(tmp_path / "project", "init", "-q")
    git(tmp_path / "project", *identity, "commit", "-q", "--allow-empty", "-m", "other")
    assert runs.git_commit() is None
    git(tmp_path / "project", "add", ".")
    git(tmp_path / "project", *identity, "commit", "-q", "-m", "ours")
    commit = runs.git_commit()
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    source.write_text("x = 2\n")
    assert runs.git_commit() == f"{commit}-dirty"


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert runs.git_commit() is None
    monkeypatch.undo()
    monkeypatch.setattr(runs, "__file__", str(Path(tmp_path) / "runs.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert runs.git_commit() is None
