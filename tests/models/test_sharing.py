"""What lies beside weights, and what goes to a hub."""

import json
import os
import subprocess
import sys

import pytest
import torch
from hub_stub import HubStub
from model_helpers import downstream_config, normal, scramble, tiny_config, tokens
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from eegfoundation.errors import CheckpointError, OutputError
from eegfoundation.models import (
    EEGFoundationForClassification,
    EEGFoundationForMaskedLM,
    EEGFoundationModel,
    fingerprint,
    load_encoder,
)

RUN = {"settings": {"steps": 12}, "versions": {"torch": "2"}, "git_commit": "abc"}
SEEN = {
    "channel_hours": 1.5,
    "n_subjects": 2,
    "recordings": [{"recording": f"set/{i}.edf", "subject": f"set/{i}"} for i in range(2)],
}


def encoder(seed=0, **changes):
    return scramble(EEGFoundationModel(tiny_config(trained=True, **changes)), seed)


def masked_lm():
    return scramble(EEGFoundationForMaskedLM(tiny_config(trained=True)))


def classifier():
    """A classifier with a tuned encoder of its own."""
    tuned = encoder(seed=3)
    model = EEGFoundationForClassification(
        downstream_config(
            trained=True, embedding_dim=128, encoder_tuned=True, encoder_sha256=fingerprint(tuned)
        )
    )
    model.attach_encoder(tuned)
    return scramble(model)


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def saved(tmp_path):
    encoder().save_pretrained(tmp_path / "saved", run=RUN, training_data=SEEN)
    return tmp_path / "saved"


ACCOUNT = {"README.md", "run.json", "training_data.json"}
MODEL = {"config.json", "model.safetensors", "SHA256SUMS"}


def test_weights_lie_beside_their_account(saved):
    assert names(saved) == ACCOUNT | MODEL
    assert json.loads((saved / "run.json").read_text()) == RUN
    assert json.loads((saved / "training_data.json").read_text()) == SEEN
    assert "1.5 channel-hours of 2 people" in (saved / "README.md").read_text()


def test_the_account_travels_with_unchanged_weights(saved, tmp_path):
    (saved / "README.md").write_text("---\nlibrary_name: eegfoundation\n---\nWritten by hand.\n")
    for cls, kwargs in ((EEGFoundationModel, {}), (AutoModel, {"dtype": torch.bfloat16})):
        target = tmp_path / cls.__name__
        cls.from_pretrained(saved, **kwargs).save_pretrained(target)
        for name in ACCOUNT:
            assert (target / name).read_bytes() == (saved / name).read_bytes()


def test_a_new_card_is_made_where_something_is_added_to_it(saved, tmp_path):
    model = load_encoder(saved)
    model.save_pretrained(tmp_path / "licensed", license="cc-by-4.0")
    card = (tmp_path / "licensed" / "README.md").read_text()
    assert "license: cc-by-4.0" in card
    assert "1.5 channel-hours" in card
    assert names(tmp_path / "licensed") == ACCOUNT | MODEL


@torch.no_grad()
def change_a_weight(model):
    model.layers[0].fc1.bias[0] += 1e-3


def change_a_setting(model):
    model.config.pooling = "mean"


@pytest.mark.parametrize("change", [change_a_weight, change_a_setting])
def test_changed_weights_never_get_the_account_of_others(saved, tmp_path, change):
    model = load_encoder(saved)
    change(model)
    model.save_pretrained(tmp_path / "changed")
    assert names(tmp_path / "changed") == MODEL | {"README.md"}
    card = (tmp_path / "changed" / "README.md").read_text()
    assert "loaded from `saved` and changed since" in card
    assert str(tmp_path) not in card
    before = (saved / "model.safetensors").read_bytes()
    with pytest.raises(OutputError, match=r"run\.json and training_data\.json of other weights"):
        model.save_pretrained(saved)
    assert (saved / "model.safetensors").read_bytes() == before
    model.save_pretrained(saved, run={}, training_data={})  # an account of its own


def test_weights_whose_source_is_gone_have_no_account(saved, tmp_path):
    model = load_encoder(saved)
    saved.rename(tmp_path / "moved")
    model.save_pretrained(tmp_path / "again")
    assert names(tmp_path / "again") == MODEL | {"README.md"}
    assert "No account of the training" in (tmp_path / "again" / "README.md").read_text()


@pytest.mark.parametrize("run", [{"note": float("nan")}, {"settings": 3, "scores": 3}], ids=str)
def test_a_damaged_account_is_refused(tmp_path, run):
    with pytest.raises(CheckpointError, match=r"run\.json or training_data\.json .* is damaged"):
        encoder().save_pretrained(tmp_path, run=run)


def test_half_a_character_of_an_account_is_written_as_its_number(tmp_path):
    encoder().save_pretrained(tmp_path, run={"settings": {"corpus": "\ud800"}})
    assert "\\ud800" in (tmp_path / "README.md").read_text("utf-8")


def test_somebodys_own_readme_stays(tmp_path, caplog):
    (tmp_path / "README.md").write_text("# My project\n")
    encoder().save_pretrained(tmp_path, run=RUN)
    assert (tmp_path / "README.md").read_text() == "# My project\n"
    assert (tmp_path / "run.json").exists()


def test_a_trainers_checkpoint_is_the_model_alone(saved, tmp_path):
    model = encoder()
    model.save_pretrained(tmp_path / "a", state_dict=model.state_dict())
    model.save_pretrained(tmp_path / "b", is_main_process=False)
    assert names(tmp_path / "a") == MODEL - {"SHA256SUMS"}
    assert names(tmp_path / "b") == set()


def test_a_tuned_encoder_gets_the_account_of_its_classifier(tmp_path):
    classifier().save_pretrained(tmp_path / "a", run=RUN)
    expected = {"README.md", "run.json"} | MODEL
    assert names(tmp_path / "a") == expected | {f"encoder/{name}" for name in expected}
    again = EEGFoundationForClassification.from_pretrained(tmp_path / "a")
    again.save_pretrained(tmp_path / "b")
    assert names(tmp_path / "b") == names(tmp_path / "a")


def test_the_auto_classes_know_our_models(tmp_path):
    for auto, model in (
        (AutoModel, encoder()),
        (AutoModelForMaskedLM, masked_lm()),
        (AutoModelForSequenceClassification, classifier()),
    ):
        model.save_pretrained(tmp_path / auto.__name__)
        assert type(AutoConfig.from_pretrained(tmp_path / auto.__name__)) is type(model.config)
        assert type(auto.from_pretrained(tmp_path / auto.__name__)) is type(model)


# --- Elsewhere: a fresh process, a hub ----------------------------------------------------------

FRESH = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification
import eegfoundation.models
torch.set_num_threads(1)
folder = sys.argv[1]
ids, x = torch.load(folder + "/input.pt", weights_only=True)
with torch.no_grad():
    found = [
        AutoModel.from_pretrained(folder + "/encoder")(ids).pooler_output,
        AutoModelForMaskedLM.from_pretrained(folder + "/masked_lm")(ids).logits,
        AutoModelForSequenceClassification.from_pretrained(folder + "/classifier")(x).logits,
    ]
torch.save(found, folder + "/output.pt")
"""


def python(code, *args, **environment):
    """Run code in a fresh process without any cache of a hub."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_saved_today_loads_in_a_fresh_process_without_network(tmp_path):
    models = encoder(), masked_lm(), classifier()
    ids, x = tokens(2, 100), normal(2, 7, 300) * 20
    for name, model in zip(("encoder", "masked_lm", "classifier"), models, strict=True):
        model.eval().save_pretrained(tmp_path / name)
    torch.save([ids, x], tmp_path / "input.pt")
    python(FRESH, tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub"))
    with torch.no_grad():
        expected = models[0](ids).pooler_output, models[1](ids).logits, models[2](x).logits
    found = torch.load(tmp_path / "output.pt", weights_only=True)
    for ours, theirs in zip(expected, found, strict=True):
        torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)


PUSH = """
import sys
from eegfoundation.models import EEGFoundationForClassification, load_encoder
source, target = sys.argv[1:]
load_encoder(source).push_to_hub("me/encoder")
EEGFoundationForClassification.from_pretrained(source + "_classifier").push_to_hub(
    "me/classifier", private=True, commit_message="First"
)
load_encoder("me/encoder").save_pretrained(target)
EEGFoundationForClassification.from_pretrained("me/classifier").encoder
"""


def test_what_goes_to_a_hub_comes_back(saved, tmp_path):
    classifier().save_pretrained(tmp_path / "saved_classifier", run=RUN)
    with HubStub() as hub:
        settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"), "HF_TOKEN": "none"}
        settings |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        python(PUSH, saved, tmp_path / "back", **settings)
    assert set(hub.files) == {"me/encoder", "me/classifier"}
    assert set(hub.files["me/encoder"]) == ACCOUNT | MODEL
    both = {"README.md", "run.json"} | MODEL
    assert set(hub.files["me/classifier"]) == both | {f"encoder/{name}" for name in both}
    for files in hub.files.values():  # safetensors only: nothing that runs when it is loaded
        assert not [name for name in files if name.endswith((".bin", ".pth", ".pt", ".pkl"))]
    for name in ("run.json", "training_data.json", "model.safetensors"):
        assert hub.files["me/encoder"][name] == (saved / name).read_bytes()
        assert (tmp_path / "back" / name).read_bytes() == (saved / name).read_bytes()
    card = hub.files["me/encoder"]["README.md"].decode()
    assert 'load_encoder("me/encoder")' in card
    assert "OWNER/NAME" not in card
    assert (tmp_path / "back" / "README.md").read_text() == card


def test_a_classifier_whose_encoder_nobody_else_has_is_not_pushed(saved):
    model = EEGFoundationForClassification(downstream_config(encoder=str(saved)))
    with pytest.raises(CheckpointError, match=r"needs the encoder in .*saved, which nobody else"):
        model.push_to_hub("me/classifier")


def test_saving_does_not_push(tmp_path):
    with pytest.raises(OutputError, match="call push_to_hub"):
        encoder().save_pretrained(tmp_path, push_to_hub=True)
