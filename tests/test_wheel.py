"""The wheel: complete, free of strays, and at work where there is no clone.

It is built from what git knows or would take, so that a file which somebody forgot to ship, or
which only lies in this working tree, shows here.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command, **kwargs):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The files of a clone, without what git ignores."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: what belongs to the project cannot be told")
    folder = tmp_path_factory.mktemp("clone")
    listed = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # not one that is deleted but not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    out = tmp_path_factory.mktemp("dist")
    run(*pip, "wheel", ".", "--no-deps", "--no-build-isolation", "-w", out, cwd=clone)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """Run Python code with the installed wheel and nothing of the clone; gives its output."""
    target, cwd = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "--no-deps", "--no-compile", "--target", target, wheel)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(target), "PYTHONSAFEPATH": "1", "HF_HUB_OFFLINE": "1"}

    def python(*args):
        return run(sys.executable, *args, cwd=cwd, env=environment)

    found = python("-c", "import eegfoundation; print(eegfoundation.__file__)").stdout
    assert found.startswith(str(target))  # not the clone that this environment has installed
    python.cwd = cwd
    return python


def test_nothing_is_forgotten_and_nothing_stray(clone, wheel):
    with zipfile.ZipFile(wheel) as file:
        assert file.testzip() is None
        names = {name for name in file.namelist() if not name.endswith("/")}
    info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
    package = {
        f"eegfoundation/{path.relative_to(clone / 'src/eegfoundation')}"
        for path in (clone / "src/eegfoundation").rglob("*")
        if path.is_file()
    }
    shipped = {
        f"eegfoundation/shipped/{path.relative_to(clone)}"
        for folder in ("configs", "models", "demo_data")
        for path in (clone / folder).rglob("*")
        if path.is_file()
    }
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert names == package | shipped | {f"{info}/{name}" for name in about}
    for name in (
        *("py.typed", "cli.py", "weights/small/config.json", "weights/small/model.safetensors"),
        *("shipped/configs/BCIC_IV_2a_config.json", "shipped/configs/pretrain_config.json"),
        *("shipped/models/BCIC-2a_model.pth", "shipped/demo_data/motor_imagery.edf"),
    ):
        assert f"eegfoundation/{name}" in names
    suffixes = {Path(name).suffix for name in package if not name.endswith("/SHA256SUMS")}
    assert suffixes <= {".py", ".typed", ".json", ".safetensors", ".md", ".png"}
    assert not any("test" in Path(name).stem.split("_") for name in names)


def test_it_stays_downloadable(wheel):
    assert wheel.stat().st_size < 60e6
    with zipfile.ZipFile(wheel) as file:
        weights = file.getinfo("eegfoundation/weights/small/model.safetensors")
    assert weights.file_size <= 25e6


def test_what_the_page_of_the_package_says(wheel):
    with zipfile.ZipFile(wheel) as file:
        info = next(name.split("/")[0] for name in file.namelist() if ".dist-info/" in name)
        metadata = file.read(f"{info}/METADATA").decode()
        scripts = file.read(f"{info}/entry_points.txt").decode()
        licence = file.read(f"{info}/licenses/LICENSE").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "not a medical device" in metadata.lower()
    assert "eegfoundation = eegfoundation.cli:main" in scripts
    assert "Apache License" in licence
    assert str(ROOT) not in metadata
    assert str(Path.home()) not in metadata


def test_models_load_outside_of_the_clone(elsewhere):
    code = """
import warnings
warnings.simplefilter("ignore")
import eegfoundation
from eegfoundation.models.registry import shipped_path
from eegfoundation.prediction import load_classifier
encoder = eegfoundation.load_encoder("small")
print(encoder.config.context_size, load_classifier().config.num_classes)
for name in (
    "configs/FACED_config.json", "models/BCIC-2a_model.pth", "demo_data/motor_imagery.edf",
    "demo_data/downstream_eeg_data.npz", "demo_data/eeg_data.npy",
):
    path = shipped_path(name)
    print(path.is_file() and path.is_relative_to(eegfoundation.__path__[0]), name)
"""
    first, *files = elsewhere("-c", code).stdout.splitlines()
    assert first == "512 4"
    assert len(files) == 5
    assert all(line.startswith("True") for line in files), files


def test_the_command_works_outside_of_the_clone(elsewhere):
    code = """
import sys
from eegfoundation.cli import main
from eegfoundation.models.registry import shipped_path
demo = str(shipped_path("demo_data/motor_imagery.edf"))
sys.exit(main(["embed", demo, "--out", "out", "--ch_names", "[C3, Cz, C4]"]))
"""
    done = elsewhere("-c", code)
    assert "motor_imagery_embeddings.npz" in done.stdout
    with np.load(elsewhere.cwd / "out" / "motor_imagery_embeddings.npz") as file:
        assert file["values"].shape[1:] == (3, 512)
        assert np.isfinite(file["values"]).all()
        assert file["ch_names"].tolist() == ["C3", "Cz", "C4"]
