"""The card of a model: what it is, what it learned from, what it is worth, what it is not.

Every number is read: from the configuration, from the account of the training (``run.json``,
``training_data.json``) and from the result files of ``eegfoundation evaluate``. What is not known
is said to be unknown, not left out.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from eegfoundation.errors import ConfigError
from eegfoundation.models.registry import fingerprint, simulated_notice, untrained_notice
from eegfoundation.models.sharing import LIBRARY, PLACEHOLDER

#: Of rows in a result file, and the baseline with the highest score on test windows.
_KINDS = ("ours", "random twin", "baseline", "highest")

_USE = {
    "encoder": """import eegfoundation

encoder = eegfoundation.load_encoder("{name}")  # a folder or a hub id
embeddings = eegfoundation.embed("recording.edf", encoder, window=4.0)
print(embeddings.values.shape)  # (n_windows, n_chans, {width})""",
    "masked tokens": """import eegfoundation
from eegfoundation.models import EEGFoundationForMaskedLM

model = EEGFoundationForMaskedLM.from_pretrained("{name}")  # a folder or a hub id
embeddings = eegfoundation.embed("recording.edf", model.encoder, window=4.0)
print(embeddings.values.shape)  # (n_windows, n_chans, {width})""",
    "classifier": """import eegfoundation
from eegfoundation.models import EEGFoundationForClassification

model = EEGFoundationForClassification.from_pretrained("{name}")  # a folder or a hub id
table = eegfoundation.predict("recording.edf", model)
print(table.head())  # one row per window, one probability per class""",
}


def model_card(
    model: Any,
    *,
    run: Mapping[str, Any] | None = None,
    training_data: Mapping[str, Any] | None = None,
    results: str | Path | None = None,
    license: str | None = None,
    changed_from: str | None = None,
) -> str:
    """Write the card of a model.

    Parameters
    ----------
    model : EEGFoundationModel | EEGFoundationForMaskedLM | EEGFoundationForClassification
    run, training_data : mapping | None
        Contents of ``run.json`` and ``training_data.json``.
    results : str | Path | None
        Folder of what ``eegfoundation evaluate`` wrote; scores of other weights are passed over.
    license : str | None
        Of the weights.
    changed_from : str | None
        Where the weights were loaded from, if they were changed since.

    Returns
    -------
    card : str
        Markdown with the YAML header that a hub reads.

    Raises
    ------
    ConfigError
        If a file in `results` is no JSON.
    """
    classifies = hasattr(model.config, "num_classes")
    scores = _scores(model, results) if not classifies else []
    about = _classifier(model) if classifies else _encoder(model)
    sections = [f"# {about.pop('title')}", *_notices(model.config)]
    sections += ["## Use", f"```python\n{about.pop('use')}\n```"]
    sections += ["## What it is", _list(about)]
    sections += ["## What it was trained on", *_training(model, run, training_data, changed_from)]
    sections += ["## What it is worth", *_worth(run, scores)]
    sections += [
        "## What it is not",
        "A research tool and **not a medical device**: nothing that it computes is a diagnosis.",
    ]
    header = _header(model, run, scores, changed_from)
    header.license = license
    return f"---\n{header.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def _header(
    model: Any, run: Mapping[str, Any] | None, scores: list[dict[str, Any]], origin: str | None
) -> ModelCardData:
    """What a hub can search for."""
    classifies = hasattr(model.config, "num_classes")
    found = [
        (row["task"], row["title"], row["protocol"], row["ours"]["balanced_accuracy"])
        for row in scores
    ]
    task = (run or {}).get("task")
    if classifies and isinstance(task, Mapping):
        found += [
            (task["name"], task["title"], part, score["balanced_accuracy"])
            for part, score in (run or {}).get("scores", {}).items()
        ]
    kind = "classification" if classifies else "feature-extraction"
    return ModelCardData(
        library_name=LIBRARY,
        base_model=origin if origin and _is_hub_id(origin) else None,
        pipeline_tag=None if classifies else "feature-extraction",
        tags=["eeg", "neuroscience", *([kind] if classifies else ["self-supervised"])],
        model_name="EEGFoundation" if found else None,
        eval_results=[
            EvalResult(
                task_type="eeg-classification",
                dataset_type=name,
                dataset_name=title,
                dataset_split=part,
                metric_type="balanced_accuracy",
                metric_value=round(value, 4),
            )
            for name, title, part, value in found
        ]
        or None,
    )


def _notices(config: Any) -> list[str]:
    if not config.trained:
        return [f"**{untrained_notice('This model')}**"]
    if getattr(config, "simulated", False):
        return [f"**{simulated_notice('This model')}**"]
    return []


def _encoder(model: Any) -> dict[str, str]:
    encoder, config = getattr(model, "encoder", model), model.config
    rate = encoder.preprocessing.sfreq / config.tokens_per_position
    has_head = encoder is not model
    return {
        "title": "EEGFoundation: temporal encoder" + (" with masked-token head" * has_head),
        "use": _USE["masked tokens" if has_head else "encoder"].format(
            name=PLACEHOLDER, width=config.context_size
        ),
        "what it does": "turns each channel of an EEG window into a context vector of "
        f"{config.context_size} numbers, whatever the montage, sampling rate or window length",
        "architecture": f"RoFormer, {config.num_hidden_layers} layers, {config.hidden_size} wide, "
        f"{_n_parameters(model):,} parameters, {rate:g} positions per second and channel",
        "tokens": _settings(config.tokenizer),
        "signals": _signals(config.preprocessing),
        "fingerprint": f"`{fingerprint(encoder)}`",
    }


def _classifier(model: Any) -> dict[str, str]:
    config = model.config
    names = config.class_names or [str(i) for i in range(config.num_classes)]
    sfreq = model.preprocessing.sfreq
    encoder = f"`{_public(config.encoder)}`"
    if config.encoder_tuned:
        encoder += ", tuned along with the classifier, in `encoder/`"
    if config.encoder_sha256:
        encoder += f", fingerprint `{config.encoder_sha256}`"
    return {
        "title": f"EEGFoundation classifier: {', '.join(names)}",
        "use": _USE["classifier"].format(name=PLACEHOLDER),
        "what it does": f"tells {len(names)} classes apart: {', '.join(names)}",
        "made for": f"{config.num_channel} channels, windows of {config.seq_len / sfreq:g} s; "
        "others are accepted",
        "channels": ", ".join(config.ch_names) if config.ch_names else "not recorded",
        "readout": f"{config.readout}, {_n_parameters(model):,} parameters",
        "alignment of a recording": config.alignment,
        "encoder": encoder,
        "signals": _signals(config.preprocessing),
    }


def _training(
    model: Any,
    run: Mapping[str, Any] | None,
    training_data: Mapping[str, Any] | None,
    changed_from: str | None,
) -> list[str]:
    """Who was learned from, with which settings."""
    if changed_from is not None:
        return [
            f"These weights were loaded from `{_public(changed_from)}` and changed since; what "
            "changed them is not recorded. What the loaded ones had seen, these have seen too."
        ]
    paragraphs = []
    if training_data is not None:
        sets = Counter(
            str(row["recording"]).rpartition("/")[0].partition("/")[0] or "one folder"
            for row in training_data.get("recordings", [])
        )
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(sets.items()))
        paragraphs.append(
            f"{training_data.get('channel_hours', '?')} channel-hours of "
            f"{training_data.get('n_subjects', '?')} people; every recording is listed in "
            f"`training_data.json`. Recordings per source: {listed}."
        )
    trained_on = getattr(model.config, "trained_on", None)
    if trained_on:
        paragraphs.append(f"{trained_on[:1].upper()}{trained_on[1:]}.")
    if run is not None:
        paragraphs += _of_run(run)
    return paragraphs or ["No account of the training lies with these weights."]


def _of_run(run: Mapping[str, Any]) -> list[str]:
    paragraphs = []
    if "trials" in run and "subjects" in run:
        lines = ["| part | people | windows per class |", "|---|---|---|"]
        for part, counts in run["trials"].items():
            windows = ", ".join(f"{name} {n}" for name, n in counts.items())
            lines.append(f"| {part} | {len(run['subjects'][part])} | {windows} |")
        paragraphs.append("\n".join(lines))
    citation = run.get("task", {}).get("citation")
    if citation:
        paragraphs.append(f"Recordings: {citation}")
    settings = {key: value for key, value in run.get("settings", {}).items() if value is not None}
    if settings:
        paragraphs.append(f"Settings: {_settings(settings)}.")
    made = [f"{name} {number}" for name, number in run.get("versions", {}).items()]
    made += [f"commit {run['git_commit']}"] if run.get("git_commit") else []
    if made:
        paragraphs.append(f"Made with {', '.join(made)}; `run.json` holds all of it.")
    return paragraphs


def _worth(run: Mapping[str, Any] | None, scores: list[dict[str, Any]]) -> list[str]:
    """Scores, of the run itself and of evaluations."""
    paragraphs = []
    own = (run or {}).get("scores", {})
    if own:
        lines = ["| part | balanced accuracy | kappa | weighted F1 | AUROC |", "|---" * 5 + "|"]
        for part, values in own.items():
            names = ("balanced_accuracy", "kappa", "weighted_f1", "auroc")
            lines.append(_row(part, *(_number(values.get(name)) for name in names)))
        paragraphs.append("\n".join(lines))
        paragraphs.append("The test part decided nothing: neither weights nor settings.")
    if scores:
        lines = [
            "| task | protocol | frozen model, probe | 95% | alignment | random twin "
            "| baseline chosen likewise | highest baseline |",
            "|---" * 8 + "|",
        ]
        for row in scores:
            ours, twin, baseline, highest = (row[kind] for kind in _KINDS)
            ends = [_number(end) for end in ours.get("interval") or ()]
            cells = [f"**{_number(ours['balanced_accuracy'])}**", " to ".join(ends)]
            cells += [ours["alignment"], _number(twin and twin["balanced_accuracy"])]
            cells += [_named(baseline), _named(highest)]
            lines.append(_row(row["title"], row["protocol"], *cells))
        paragraphs.append("\n".join(lines))
        paragraphs.append(
            "Balanced accuracy on the same folds for all. Alignment, and the baseline in the last "
            "column but one, were chosen without any test window."
        )
    return paragraphs or ["Not evaluated: no scores lie with these weights."]


def _scores(model: Any, results: str | Path | None) -> list[dict[str, Any]]:
    """From every result file about these weights: of each kind the row that validation chose."""
    if results is None:
        return []
    digest = fingerprint(getattr(model, "encoder", model))
    found = []
    for path in sorted(Path(results).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is no valid JSON: {error}; move it elsewhere.") from None
        try:
            found += _score(content, digest)
        except (LookupError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path} is no result of eegfoundation evaluate; move it elsewhere."
            ) from error
    return found


def _score(content: dict[str, Any], digest: str) -> list[dict[str, Any]]:
    """Of a result file the rows to show; none if it is about other weights."""
    if content.get("encoder", {}).get("sha256") != digest or "rows" not in content:
        return []
    # what is added to covariances says more about those than about the encoder
    rows = [row for row in content["rows"] if "+" not in row["strategy"]]
    by_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in _KINDS[:3]}
    if not by_kind["ours"]:
        return []
    chosen = {
        kind: max(some, key=lambda row: row["validation_balanced_accuracy"] or 0, default=None)
        for kind, some in by_kind.items()
    }
    chosen["highest"] = max(
        by_kind["baseline"], key=lambda row: row["balanced_accuracy"], default=None
    )
    protocol = content["protocol"]
    protocol += f" {content['split']}" if content["split"] not in (None, protocol) else ""
    protocol += f", {content['shots']} windows per class" if content["shots"] else ""
    names = {"task": content["task"], "title": content["title"], "protocol": protocol}
    return [{**names, **chosen}]


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/")) and not os.path.isdir(name)


def _public(name: str) -> str:
    """A name without the folders of one machine, which are nobody's business."""
    return name if _is_hub_id(name) else Path(name).name


def _n_parameters(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in values.items())


def _signals(settings: Mapping[str, Any]) -> str:
    """What has to be done to a signal first (`embed` and `predict` do it)."""
    low, high = settings["highpass"], settings["lowpass"]
    band = f"{'-' if low is None else f'{low:g}'} to {'-' if high is None else f'{high:g}'} Hz"
    return (
        f"{settings['sfreq']:g} Hz, {band}, mains notch {_plain(settings['notch'])}, reference "
        f"{settings['reference']}, samples above {_plain(settings['artefact_uv'])} microvolts left "
        "out; `embed` and `predict` make them so"
    )


def _plain(value: Any) -> str:
    if isinstance(value, bool | None):
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _list(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- **{name}**: {value}" for name, value in facts.items())


def _row(*cells: str) -> str:
    """One line of a table; a user's labels may hold anything."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _named(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{_number(row['balanced_accuracy'])} ({row['model']}, {row['alignment']})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
