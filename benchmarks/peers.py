"""Networks of braindecode on exactly the windows and folds of a result, one row each.

    make baselines TASK=stress-ours DATA=FOLDER [SEEDS=5]
    python benchmarks/peers.py results/stress-ours.json [--data FOLDER] [--models EEGNet ATCNet ...]
        [--seeds 5] [--epochs 300] [--weights Labram=FILE CBraMod=FILE] [--overwrite]

Reads the folds beside the result, loads the recordings again as the baselines of `eegfoundation
evaluate` get them (the encoder's filters, the recording's own reference), and proves by the digests
in folds.json that the windows are the same. Every network (peer_models.py says which, and how they
are trained) is trained from scratch with every seed, as recorded and with signals aligned per
session (euclidean); Labram and CBraMod also start from a file of weights, if one is given.

Writes results/<name>-peers.json after each network; what it holds is not trained again. It has the
form of the result, and docs/results.md shows both tables in one section. Differences to our rows
are not computed: they would need our predictions, that is, fitting our rows again here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peer_models import ALIGNMENTS, PEERS, file_digest, load_braindecode, peer_rows
from peer_training import Training

from eegfoundation import load_encoder
from eegfoundation.errors import EEGFoundationError, OutputError, TaskError
from eegfoundation.evaluation.compare import as_text, compare
from eegfoundation.evaluation.folds import Fold, folds_from_json
from eegfoundation.outputs import write_json
from eegfoundation.tasks import TASKS, Trials, load_task, load_trials
from eegfoundation.tasks.task import PARTS

#: What a reader of the rows must know is what the result says.
_DESCRIPTION = (
    *("task", "title", "classes", "window_seconds", "channels", "protocol", "split", "shots"),
    *("trial_counts", "subjects", "left_out"),
)
_VERSIONS = ("eegfoundation", "braindecode", "torch", "numpy", "scipy")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is asked for; a mistake of the user is one sentence and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("result", type=Path, help="results/<name>.json of `eegfoundation evaluate`")
    parser.add_argument("--data", help="folder of the recordings")
    parser.add_argument("--task", help="the table or BIDS folder, if the task has no name")
    parser.add_argument("--start", type=float, help="of a BIDS folder, as in evaluate")
    parser.add_argument("--model", help="the encoder of the result, if it is not a shipped one")
    parser.add_argument("--models", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--weights", nargs="+", default=[], metavar="NETWORK=FILE")
    for setting in dataclasses.fields(Training):
        parser.add_argument(
            f"--{setting.name}", type=type(setting.default), default=setting.default
        )
    parser.add_argument(
        "--labels_only",
        action="store_true",
        help="on another processor, where samples differ in their last digits: compare labels only",
    )
    parser.add_argument("--overwrite", action="store_true", help="forget earlier rows")
    options = parser.parse_args(arguments)
    try:
        run(options)
    except EEGFoundationError as error:
        print(f"peers: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Read, refuse or train, write."""
    for name in ("seeds", "epochs", "patience", "batch_size"):
        if getattr(options, name) < 1:
            raise TaskError(f"{name}={getattr(options, name)}; it must be at least 1.")
    weights = parse_weights(options.weights)
    result, folds_file = read_result(options.result)
    trials = load_windows(result, options.data, options.task, options.start, options.model)
    folds = folds_from_json(
        json.loads(folds_file.read_text(encoding="utf-8")), trials, signals=not options.labels_only
    )
    load_braindecode()
    names = [setting.name for setting in dataclasses.fields(Training)]
    training = Training(**{name: getattr(options, name) for name in names})
    target = options.result.with_name(f"{options.result.stem}-peers.json")
    content: dict[str, Any] = {
        "command": command(options),
        "peers_of": options.result.stem,
        "folds_sha256": file_digest(folds_file),
        **{name: result[name] for name in _DESCRIPTION},
        "seeds": options.seeds,
        "training": dataclasses.asdict(training),
        "versions": {name: version(name) for name in _VERSIONS},
        **({"citation": result["citation"]} if "citation" in result else {}),
        "rows": [],
    }
    if target.exists() and not options.overwrite:
        content["rows"] = earlier_rows(target, content)
    for name in options.models:
        for file in dict.fromkeys((None, weights.get(name))):
            train_one(name, file, content, target, trials, folds, training)
    print(as_text(content["rows"]))
    print(
        f"{target}: {len(content['rows'])} rows; * is the best row of a model by validation score"
    )


def train_one(
    name: str,
    weights: Path | None,
    content: dict[str, Any],
    target: Path,
    trials: Trials,
    folds: Sequence[Fold],
    training: Training,
) -> None:
    """Add the rows of one network to the content, and write it."""
    peer = PEERS[name]
    rows = peer_rows(peer, trials, training, weights)
    if sum(row["model"] == rows[0].model for row in content["rows"]) == len(ALIGNMENTS):
        print(f"{rows[0].model} is in {target} already", file=sys.stderr)
        return
    found = compare(rows, trials, folds, seeds=content["seeds"], shots=content["shots"])
    for row in found:
        row["input"] = peer.input
        row["learning_rate"], row["weight_decay"] = peer.learning_rate, peer.weight_decay
        row["versions"] = {key: version(key) for key in ("braindecode", "torch")}
        if weights is not None:
            row["weights_sha256"] = file_digest(weights)
    content["rows"] = [*content["rows"], *found]
    write_json(target, content, overwrite=True)


def read_result(path: Path) -> tuple[dict[str, Any], Path]:
    """Read a result; also says where its folds lie.

    Raises
    ------
    TaskError
        If there is no result, or it lacks its folds.
    """
    folds_file = path.with_suffix("") / "folds.json"
    for file in (path, folds_file):
        if not file.is_file():
            raise TaskError(f"{file} does not exist; make it with `eegfoundation evaluate`.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in (*_DESCRIPTION, "encoder") if name not in content]
    except ValueError:
        missing = ["JSON"]
    if missing:
        raise TaskError(
            f"{path} is not a result of `eegfoundation evaluate` (it has no {missing[0]}); choose "
            "another."
        )
    return content, folds_file


def load_windows(
    result: Mapping[str, Any],
    data: str | None,
    task: str | None = None,
    start: float | None = None,
    model: str | None = None,
) -> Trials:
    """Load the windows of a result as recorded: with the encoder's settings but its reference."""
    name = task or result["task"]
    described = {}
    if name not in TASKS:
        described = {
            "classes": result["classes"],
            "window": result["window_seconds"],
            "start": start,
        }
    found, subjects = load_task(name, **described), None
    if result["split"] is not None:
        found = found.for_split(result["split"], data)
        split = found.splits[result["split"]]
        subjects = [subject for part in PARTS for subject in getattr(split, part)]
    # settings alone are needed, and they are the same whatever the weights
    settings = load_encoder(model or result["encoder"]["name"], weights="random").preprocessing
    recorded = dataclasses.replace(settings, reference="as recorded")
    return load_trials(found, data, recorded, subjects=subjects)


def parse_weights(arguments: Sequence[str]) -> dict[str, Path]:
    """NETWORK=FILE.

    Raises
    ------
    TaskError
        If that is no network that takes weights, or no file.
    """
    weights = {}
    known = [name for name, peer in PEERS.items() if peer.takes_weights]
    for argument in arguments:
        name, _, file = argument.partition("=")
        if name not in known or not Path(file).is_file():
            raise TaskError(
                f"--weights {argument}: expected {' or '.join(known)}, =, and a file of weights."
            )
        weights[name] = Path(file)
    return weights


def earlier_rows(target: Path, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier run, if they compare.

    Raises
    ------
    OutputError
        If they were made of other folds, seeds, settings or versions.
    """
    earlier = json.loads(target.read_text(encoding="utf-8"))
    for name in ("folds_sha256", "seeds", "training", "versions"):
        if earlier.get(name) != content[name]:
            raise OutputError(
                f"{target} holds rows of other {name.partition('_')[0]}; overwrite it "
                "(--overwrite), or ask for the same."
            )
    return earlier["rows"]


def command(options: argparse.Namespace) -> str:
    """The command line, without where the recordings and weights lie."""
    words = ["python benchmarks/peers.py", f"results/{options.result.name}"]
    if options.data is not None:
        words.append("--data DIR")
    for name in ("seeds", *(setting.name for setting in dataclasses.fields(Training))):
        words.append(f"--{name} {getattr(options, name)}")
    if options.labels_only:
        words.append("--labels_only")
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
