import json
from pathlib import Path

import numpy as np
import pytest

from eegfoundation.errors import ConfigError, EEGFoundationError
from eegfoundation.info import info
from eegfoundation.models import fingerprint
from samples import noise, waves, write_edf

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")


@pytest.fixture
def said(capsys):
    """What `info` prints, as a dict."""

    def run(*args, **kwargs):
        info(*args, **kwargs)
        lines = capsys.readouterr().out.splitlines()
        column = lines[0].index(lines[0].split(maxsplit=1)[1])
        return {line[:column].strip(): line[column:] for line in lines}

    return run


def test_recording(tmp_path, said):
    names = ["EEG FP1-REF", "T3", "odd one", "EOG left"]
    path = write_edf(tmp_path / "night.edf", noise(4, 1200), names)
    assert said(str(path)) == {
        "recording": "night.edf",
        "format": "EDF",
        "length": "12.0 s",
        "sampling rate": "100 Hz",
        "channels": "3: Fp1, T7, odd one",
        "renamed": "EEG FP1-REF -> Fp1, T3 -> T7",
        "left out": "EOG left (eog by its name)",
        "position unknown": "odd one",
    }


def test_epochs(tmp_path, said):
    np.save(tmp_path / "x.npy", noise(5, 2, 300))
    found = said(str(tmp_path / "x.npy"), sfreq=100, ch_names=["C3", "C4"])
    assert found["length"] == "5 epochs of 3.00 s"
    assert found["channels"] == "2: C3, C4"


def test_bad_channels_segments_and_events(tmp_path, said):
    import mne

    measured = mne.create_info(["C3", "Cz", "C4"], 100, "eeg")
    raw = mne.io.RawArray(waves(100) * 1e-6, measured, verbose="ERROR")
    raw.info["bads"] = ["Cz"]
    raw.set_annotations(mne.Annotations([1, 2, 9], [1, 1, 0], ["BAD_jump", "left", "right"]))
    raw.save(tmp_path / "x_raw.fif", verbose="ERROR")
    found = said(str(tmp_path / "x_raw.fif"))
    assert found["bad channels"] == "Cz"
    assert found["bad segments"] == "1"
    assert found["events"] == "left, right"


def test_units(tmp_path, said):
    path = write_edf(tmp_path / "night.edf", noise(2, 1200, sd=2e-5))
    with pytest.raises(EEGFoundationError, match="median channel SD"):
        info(str(path))
    assert said(str(path), units="uV")["format"] == "EDF"


def test_shipped_encoder(said):
    found = said("small")
    assert found["encoder"] == "small"
    assert found["weights"] in ("trained", "UNTRAINED")
    assert len(found["sha256"]) == 64
    assert int(found["parameters"].replace(",", "")) <= 6_000_000
    assert found["context vector"] == "512 values per channel and window"
    assert found["positions"] == "4 per second and channel"


def test_architecture_without_weights_says_so(said):
    found = said("base")
    assert "No weights are shipped for 'base'" in found["weights"]
    assert found["sha256"] == "none"
    assert found["architecture"] == "12 layers, 768 wide"
    assert found["positions"] == "200 per second and channel"


def test_folder_of_an_encoder(encoder, encoder_folder, said):
    found = said(str(encoder_folder))
    assert found["sha256"] == fingerprint(encoder)
    assert found["weights"] == "UNTRAINED"
    assert found["architecture"] == "2 layers, 64 wide"


def test_damaged_weights_say_so(encoder_folder, tmp_path, said):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((encoder_folder / name).read_bytes()[:5000])
    found = said(str(tmp_path))
    assert found["weights"].startswith("Cannot load")
    assert found["sha256"] == "none"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.json")), ids=lambda p: p.name)
def test_configuration(path, said):
    values = json.loads(path.read_text())
    found = said(str(path))
    assert found.pop("configuration") == path.name
    assert found == {name: str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ('{"model_type": "bert"}', "model_type is none of"),
        ("{}", "model_type is none of"),
        ("[1]", "model_type is none of"),
        ('"text"', "model_type is none of"),
        ("{", "cannot be read"),
        ("\x80", "cannot be read"),
        ('{"model_type": "eegfoundation", "hidden": 3}', "Unknown keys"),
        ('{"model_type": ["eegfoundation"]}', "model_type is none of"),
    ],
)
def test_configuration_of_something_else(tmp_path, content, error):
    (tmp_path / "x.json").write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError, match=error):
        info(str(tmp_path / "x.json"))


def test_nonsense(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    for target, error in {
        "nonsense": "nonsense does not exist",
        str(tmp_path): "is a folder",
        str(tmp_path / "x.txt"): "unknown type",
        "absent.json": "does not exist",
    }.items():
        with pytest.raises(EEGFoundationError, match=error):
            info(target)
