import importlib.util
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from noise import noise

from eegfoundation.corpus.engines import CRASHED, ENGINES, process_pool, ray_cluster
from eegfoundation.corpus.layouts import find_recordings
from eegfoundation.corpus.process import Task
from eegfoundation.corpus.settings import CorpusSettings
from eegfoundation.errors import ConfigError, OutputError

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is absent: pip install 'eegfoundation[ray]'",
)


def tasks_of(folder: Path, *stems: str) -> list[Task]:
    layout = "own_layouts:FRAGILE"
    folder.joinpath("d").mkdir()
    for i, stem in enumerate(stems):
        np.save(folder / "d" / f"{stem}.npy", noise(2, 12, seed=i))
    settings = CorpusSettings(layout=layout)
    return [
        Task(found, folder / "out", settings) for found in find_recordings([folder / "d"], layout)
    ]


def outcomes_of(engine: str, tasks: list[Task]) -> dict[str, object]:
    return {
        Path(str(outcome["recording"])).stem: outcome.get("failure", outcome.get("n_rows"))
        for outcome in ENGINES[engine](tasks, 2)
    }


@pytest.fixture(autouse=True)
def _own_layouts_in_ray_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.mark.parametrize("engine", ["process", pytest.param("ray", marks=needs_ray)])
def test_a_worker_that_dies_costs_only_its_recording(tmp_path: Path, engine: str) -> None:
    tasks = tasks_of(tmp_path, "a", "b", "crash1", "crash2", "m", "once", "z")
    expected: dict[str, object] = dict.fromkeys(["a", "b", "m", "once", "z"], 2)
    assert outcomes_of(engine, tasks) == {**expected, "crash1": CRASHED, "crash2": CRASHED}
    assert (tmp_path / "d" / "once.tried").exists()  # it did kill its worker
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("engine", ["process", pytest.param("ray", marks=needs_ray)])
def test_a_corpus_that_cannot_be_written_ends_the_build(tmp_path: Path, engine: str) -> None:
    tasks = tasks_of(tmp_path, "a", "b", "c", "d")
    (tmp_path / "out").write_text("a file where the corpus should be")
    with pytest.raises(OutputError, match=r"^Writing .* failed: [^\n]*$"):
        outcomes_of(engine, tasks)
    assert multiprocessing.active_children() == []


def test_no_processes_at_all(tmp_path: Path) -> None:
    assert [o["n_rows"] for o in process_pool(tasks_of(tmp_path, "a", "b"), 0)] == [2, 2]


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_ray_is_asked_for_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'eegfoundation\[ray\]'"):
        next(ray_cluster([], 2))


def test_script_without_main_guard_is_told_so(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise(2, 12))
    script = tmp_path / "script.py"
    script.write_text(
        "from eegfoundation.corpus.builder import build_corpus\n"
        "build_corpus(['a.npy'], 'out', layout='own_layouts:FRAGILE', workers=1)\n"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env={"PYTHONPATH": here, "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "below `if __name__ == '__main__':`" in done.stderr
