"""The card says what was read, what is unknown, and nothing about this machine."""

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from model_helpers import downstream_config, scramble, tiny_config

from eegfoundation import load_encoder
from eegfoundation.errors import ConfigError
from eegfoundation.models import (
    EEGFoundationForClassification,
    EEGFoundationForMaskedLM,
    EEGFoundationModel,
    fingerprint,
    load_downstream_model,
)
from eegfoundation.models.card import PLACEHOLDER, model_card

ROOT = Path(__file__).resolve().parents[2]


def encoder(**changes):
    return scramble(EEGFoundationModel(tiny_config(**{"trained": True, **changes})))


def classifier(**changes):
    small = {"trained": True, "embedding_dim": 128, "class_names": ["a", "b|c", "d"]}
    return scramble(EEGFoundationForClassification(downstream_config(**{**small, **changes})))


def row(kind, score, validation, strategy="logistic regression", alignment="none"):
    return {
        "kind": kind,
        "model": f"{kind} {score}",
        "strategy": strategy,
        "alignment": alignment,
        "balanced_accuracy": score,
        "validation_balanced_accuracy": validation,
        "interval": [score - 0.1, score + 0.1],
    }


def result(folder, sha256, name="stress", split=None, **changes):
    content = {
        "task": name,
        "title": f"{name}, or not",
        "protocol": "kfold",
        "split": split,
        "shots": None,
        "encoder": {"sha256": sha256},
        "rows": [
            row("baseline", 0.61, 0.7),
            row("baseline", 0.66, 0.5),
            row("random twin", 0.55, None, "probe"),
            row("ours", 0.81, 0.6, "probe"),
            row("ours", 0.72, 0.9, "probe", "standardise"),
            row("ours", 0.99, 0.99, "probe+covariance"),
        ],
        **changes,
    }
    (folder / f"{name}.json").write_text(json.dumps(content))


def test_the_header_is_what_a_hub_reads():
    card = ModelCard(model_card(encoder(), license="mit"))
    assert card.data.to_dict()["library_name"] == "eegfoundation"
    assert card.data.license == "mit"
    assert "eeg" in card.data.tags
    assert card.data.eval_results is None
    assert ModelCard(model_card(encoder())).data.license is None  # the owner's to say


@pytest.mark.parametrize("head", [False, True])
def test_an_encoder(head):
    model = encoder()
    whole = EEGFoundationForMaskedLM(model.config)
    whole.encoder = model
    card = model_card(whole if head else model)
    assert fingerprint(model) in card
    assert "context vector of 128 numbers" in card
    assert "200 Hz, 0.3 to 75 Hz, mains notch auto" in card
    assert ("masked-token head" in card) == head
    assert "No account of the training" in card
    assert "Not evaluated" in card
    assert "not a medical device" in card


def test_untrained_and_simulated_weights_say_so():
    assert "UNTRAINED" in model_card(encoder(trained=False))
    assert "SIMULATED" in model_card(classifier(simulated=True))
    assert "UNTRAINED" not in model_card(encoder())


def test_scores_of_these_weights_chosen_without_test_windows(tmp_path):
    model = encoder()
    result(tmp_path, fingerprint(model))
    result(tmp_path, "of other weights", "other")
    (tmp_path / "peers.json").write_text('{"peers_of": "stress", "rows": []}')
    card = model_card(model, results=tmp_path)
    assert (
        "| stress, or not | kfold | **0.720** | 0.620 to 0.820 | standardise | 0.550 | "
        "0.610 (baseline 0.61, none) | 0.660 (baseline 0.66, none) |"
    ) in card
    assert "0.99" not in card
    assert "other, or not" not in card
    (score,) = ModelCard(card).data.eval_results
    assert (score.dataset_type, score.metric_value) == ("stress", 0.72)
    for content in (
        "[]",
        '{"encoder": null}',
        f'{{"encoder": {{"sha256": "{fingerprint(model)}"}}, "rows": 3}}',
    ):
        (tmp_path / "broken.json").write_text(content)
        with pytest.raises(ConfigError, match=r"broken\.json is no result of eegfoundation"):
            model_card(model, results=tmp_path)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match=r"broken\.json is no valid JSON"):
        model_card(model, results=tmp_path)


def test_the_results_that_ship_are_those_of_the_encoder_that_ships():
    card = model_card(load_encoder("small"), results=ROOT / "results")
    results = [path for path in (ROOT / "results").glob("*.json") if "-peers" not in path.name]
    assert len(ModelCard(card).data.eval_results) == len(results)


def test_a_classifier_and_its_training():
    run = json.loads((ROOT / "models" / "stress_run.json").read_text())
    model = load_downstream_model(
        ROOT / "models" / "stress_model.pth", ROOT / "models" / "stress_config.json"
    )
    card = model_card(model, run=run)
    assert "# EEGFoundation classifier: rest, arithmetic" in card
    assert "| train | 20 | rest 240, arithmetic 240 |" in card
    assert run["task"]["citation"] in card
    assert run["git_commit"] in card
    for part, score in run["scores"].items():
        assert f"| {part} | {score['balanced_accuracy']:.3f} |" in card
    data = ModelCard(card).data
    assert [score.dataset_split for score in data.eval_results] == ["validation", "test"]


def test_names_of_folders_stay_on_their_machine():
    card = model_card(classifier(encoder="/home/somebody/secret/small"))
    assert "`small`" in card
    assert "somebody" not in card
    card = model_card(encoder(), changed_from="/home/somebody/secret/base")
    assert "loaded from `base` and changed since" in card
    assert "somebody" not in card
    assert ModelCard(card).data.base_model is None
    card = model_card(encoder(), changed_from="lab/base")
    assert ModelCard(card).data.base_model == "lab/base"


@pytest.mark.parametrize("kind", ["encoder", "masked_lm", "classifier"])
def test_the_code_on_a_card_runs(tmp_path, monkeypatch, kind):
    trained = encoder()
    trained.save_pretrained(tmp_path / "base")
    model = {
        "encoder": lambda: trained,
        "masked_lm": lambda: scramble(EEGFoundationForMaskedLM(trained.config)),
        "classifier": lambda: classifier(encoder=str(tmp_path / "base")),
    }[kind]()
    model.save_pretrained(tmp_path / "saved")
    (code,) = re.findall(r"```python\n(.*?)```", model_card(model), re.DOTALL)
    assert PLACEHOLDER in code
    code = code.replace(PLACEHOLDER, str(tmp_path / "saved"))
    code = code.replace("recording.edf", str(ROOT / "demo_data" / "motor_imagery.edf"))
    exec(compile(code, "card", "exec"), {})
