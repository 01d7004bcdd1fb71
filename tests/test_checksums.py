"""Shipped weights are what was shipped."""

import shutil
from pathlib import Path

import pytest

import eegfoundation.models.registry as registry
from eegfoundation import load_downstream_model, load_encoder
from eegfoundation.checksums import check_sum, damaged_files, listed
from eegfoundation.errors import CheckpointError, UntrainedWeightsWarning
from eegfoundation.models.registry import shipped_path

WEIGHTS = Path(registry.__file__).parents[1] / "weights"
FOLDERS = [*sorted(path for path in WEIGHTS.iterdir() if path.is_dir()), shipped_path("models")]


def flip(path, at=-100):
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_shipped_weight_is_listed_and_is_that_file(folder):
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.pth")]
    assert weights
    assert {path.name for path in weights} <= set(listed(folder))
    for name in listed(folder):
        assert (folder / name).is_file()
        check_sum(folder / name)


def test_one_flipped_bit_in_an_encoder_is_found(tmp_path, monkeypatch):
    shutil.copytree(WEIGHTS / "small", tmp_path / "weights" / "small")
    monkeypatch.setattr(registry, "_PACKAGE", tmp_path)
    load_encoder("small")
    flip(tmp_path / "weights" / "small" / "model.safetensors")
    with pytest.raises(CheckpointError, match="is not the file that was written"):
        load_encoder("small")


def test_one_flipped_bit_in_a_classifier_is_found(tmp_path):
    for path in shipped_path("models").iterdir():
        shutil.copy(path, tmp_path)
    load_downstream_model(tmp_path / "stress_model.pth", tmp_path / "stress_config.json")
    flip(tmp_path / "stress_model.pth")
    with pytest.raises(CheckpointError, match="SHA256SUMS"):
        load_downstream_model(tmp_path / "stress_model.pth", tmp_path / "stress_config.json")


def test_a_file_that_no_list_names_passes(tmp_path):
    (tmp_path / "own.pth").write_bytes(b"anything")
    check_sum(tmp_path / "own.pth")


def test_one_flipped_bit_in_what_was_saved_here_is_found(encoder, tmp_path):
    encoder.save_pretrained(tmp_path / "own")
    with pytest.warns(UntrainedWeightsWarning):
        load_encoder(tmp_path / "own")
    flip(tmp_path / "own" / "model.safetensors")
    with pytest.raises(CheckpointError, match="is not the file that was written"):
        load_encoder(tmp_path / "own")


def test_one_flipped_bit_in_a_pth_without_a_list_is_found(tmp_path):
    pair = [tmp_path / f"stress_{name}" for name in ("model.pth", "config.json")]
    for path in pair:
        shutil.copy(shipped_path("models") / path.name, path)
    load_downstream_model(*pair)
    flip(pair[0], at=pair[0].stat().st_size // 2)
    with pytest.raises(CheckpointError, match=r"is damaged: .* differs from its checksum"):
        load_downstream_model(*pair)


def test_a_damaged_list_is_no_way_out_of_its_folder(tmp_path):
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\xfe\n" + b"0" * 64 + b"  ../other\n")
    assert all("/" not in name for name in listed(tmp_path))


def test_a_listed_name_that_no_file_can_have_is_nothing_to_compare(tmp_path):
    name = "A" * 3000
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  {name}\n")
    check_sum(tmp_path / name)
    assert damaged_files(tmp_path) == [name]
