"""The command that reads other people's checkpoints."""

import json
from pathlib import Path

import pytest
import torch
from transformers import RoFormerConfig, RoFormerForMaskedLM, RoFormerModel

from eegfoundation import load_downstream_model, load_encoder
from eegfoundation.models import EEGFoundationForClassification, EEGFoundationForMaskedLM
from eegfoundation.tokenizer import PAD, VOCAB_SIZE
from samples import files_in

MODELS = Path(__file__).resolve().parents[1] / "models"
STRESS = MODELS / "stress_model.pth", MODELS / "stress_config.json"


@pytest.fixture
def roformer(tmp_path, capfd):
    """Folder of a checkpoint as transformers writes it."""

    def make(cls):
        torch.manual_seed(0)
        config = RoFormerConfig(
            vocab_size=VOCAB_SIZE,
            pad_token_id=PAD,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
        )
        cls(config).save_pretrained(tmp_path / "theirs")
        capfd.readouterr()  # its progress bar is not ours
        return tmp_path / "theirs"

    return make


@pytest.mark.parametrize("cls", [RoFormerModel, RoFormerForMaskedLM])
@torch.no_grad()
def test_a_roformer_becomes_a_folder_of_ours(command, roformer, tmp_path, cls):
    theirs = roformer(cls)
    code, out, err = command("convert", theirs, "--out", tmp_path / "ours", "--scaling", "minmax")
    assert (code, err) == (0, [])
    assert out[-4].startswith("matched: ")
    assert out[-3:-1] == ["missing: none", "unexpected: none"]
    ids = torch.randint(0, 2000, (2, 50), generator=torch.Generator().manual_seed(0))
    encoder = load_encoder(tmp_path / "ours")  # a warning would be an error: it is trained
    assert encoder.tokenizer.scaling == "minmax"
    expected = RoFormerModel.from_pretrained(theirs).eval()(ids).last_hidden_state
    torch.testing.assert_close(encoder(ids).last_hidden_state, expected, atol=1e-5, rtol=0)
    if cls is RoFormerForMaskedLM:
        ours = EEGFoundationForMaskedLM.from_pretrained(tmp_path / "ours")
        expected = cls.from_pretrained(theirs).eval()(ids).logits
        torch.testing.assert_close(ours(ids).logits, expected, atol=1e-5, rtol=0)


def test_a_published_classifier_becomes_a_folder_with_its_account(command, tmp_path):
    weights, config = STRESS
    arguments = ["convert", weights, "--classifier_config", config, "--out", tmp_path / "ours"]
    code, out, err = command(*arguments)
    assert (code, err) == (0, [])
    before = load_downstream_model(*STRESS)
    assert out[-4] == f"matched: {len(before.state_dict())} weights"
    model = EEGFoundationForClassification.from_pretrained(tmp_path / "ours").eval()
    assert all(torch.equal(v, before.state_dict()[k]) for k, v in model.state_dict().items())
    assert model.config.class_names == ["rest", "arithmetic"]
    run = json.loads((tmp_path / "ours" / "run.json").read_text())
    assert run == json.loads((MODELS / "stress_run.json").read_text())
    score = run["scores"]["test"]["balanced_accuracy"]
    assert f"| test | {score:.3f} |" in (tmp_path / "ours" / "README.md").read_text()

    code, _, err = command(*arguments)
    assert code == 2
    assert "holds a model already" in err[0]
    assert command(*arguments, "--overwrite", "true")[0] == 0


def test_only_the_account_of_these_weights_goes_along(command, tmp_path):
    """In the folder of a run lies run.json; it may be that of another run."""
    for name, task in (("mine", "mine"), ("yours", "theirs")):
        folder = tmp_path / name
        folder.mkdir()
        weights = folder / f"{name}_model.pth"
        weights.write_bytes(STRESS[0].read_bytes())
        (folder / "run.json").write_text(json.dumps({"task": {"name": task}}))
        out = folder / "out"
        code, *_ = command("convert", weights, "--classifier_config", STRESS[1], "--out", out)
        assert code == 0
        assert (out / "run.json").exists() == (name == task)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([STRESS[0]], "name its configuration with --classifier_config"),
        (["theirs"], "add --scaling minmax (the published scheme) or --scaling asinh"),
        (["theirs", "--scaling", "linear"], "scaling='linear'"),
        (["nothing", "--scaling", "minmax"], "nothing has no readable config.json"),
        ([STRESS[0], "--classifier_config", MODELS.parent / "configs/FACED_config.json"], "class_"),
    ],
)
def test_what_cannot_be_converted_is_one_sentence(
    command, roformer, tmp_path, monkeypatch, arguments, complaint
):
    roformer(RoFormerModel)
    monkeypatch.chdir(tmp_path)
    code, _, err = command("convert", *arguments, "--out", "ours")
    assert code == 2
    assert len(err) == 1
    assert complaint in err[0]
    assert files_in(tmp_path / "ours") == []
