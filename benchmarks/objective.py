"""What each part of the pretraining objective is for: leave one out, train, score frozen features.

    python benchmarks/objective.py [--corpus corpora/small] [--out runs/objective] [--steps 400]
        [--seeds 1] [--only NAME ...] [--data FOLDER]

The reference is recipes/pretrain_small.yaml, cut to so many steps; every other variant differs from
it in one thing. Each is trained by ``eegfoundation pretrain --config <out>/<name>-seed<k>/
pretrain.yaml``, which anybody can repeat by hand, and scored as in frozen_probe.py: logistic
regression on frozen features, cross-validated over the design subjects of both tasks. Beside it the
random encoder of the same architecture, with the same seed. Test subjects decide nothing here and
are not looked at.

Interrupt and restart at will: what is in a ``score.json`` is not done again (delete it to score
again, its folder to train again). Runs are short and seeds few: the table tells what matters a lot,
not what matters a little. Losses are of the last lines of metrics.csv; they compare only between
variants that have the same to guess. The last line printed is JSON with every row.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from frozen_probe import DATA, design_scores
from tqdm.auto import tqdm

from eegfoundation import load_encoder
from eegfoundation.models import SIZES
from eegfoundation.models.registry import random_encoder
from eegfoundation.outputs import write_json

RECIPE = Path(__file__).parents[1] / "recipes" / "pretrain_small.yaml"
LOSSES = ("token", "spectrum", "window")


class Variant(NamedTuple):
    """One row of the table: what differs from the recipe, and from its size in SIZES."""

    name: str
    reason: str
    settings: Mapping[str, Any] = {}
    model: Mapping[str, Any] = {}


def positions(every: int, seen: int) -> dict[str, int]:
    return {"tokens_per_position": every, "tokens_seen": seen}


VARIANTS = [
    Variant("reference", "the recipe"),
    Variant("minmax", "published amplitude scaling", model={"tokenizer": {"scaling": "minmax"}}),
    # 201: tokens_per_position plus an even number is needed
    Variant("positions-25", "twice as many positions of a second", model=positions(25, 201)),
    Variant("positions-100", "half as many positions of a second", model=positions(100, 200)),
    Variant("no-overlap", "positions of a quarter of a second", model=positions(50, 50)),
    Variant("mask-ratio-0.3", "twice as much to guess", {"mask_ratio": 0.3}),
    Variant("mask-ratio-0.5", "as much to guess as is seen", {"mask_ratio": 0.5}),
    Variant("mask-span-1", "single positions to guess", {"mask_span": 1}),
    Variant("mask-span-4", "a whole second to guess", {"mask_span": 4}),
    Variant("ordinal-5", "cross-entropy smoothed over bins", {"ordinal_sigma": 5.0}),
    Variant("spectra-only", "no masked tokens in the loss", {"token_weight": 0.0}),
    Variant(
        "tokens-only",
        "published objective: nothing but masked tokens",
        {"token_weight": 1.0, "spectrum_weight": 0.0, "window_weight": 0.0},
    ),
    Variant("no-spectrum", "positions need not tell their spectrum", {"spectrum_weight": 0.0}),
    Variant("no-window", "the spectrum of the window need not be told", {"window_weight": 0.0}),
    Variant("pooling-mean", "context vector of the last layer", model={"pooling": "mean"}),
    Variant("pooling-mean-std", "and deviations of it", model={"pooling": "mean_std"}),
    Variant(
        "learning-rate-5e-4", "published rate: does the start survive?", {"learning_rate": 5e-4}
    ),
]


def asked_of(variant: Variant, corpus: str, steps: int, seed: int) -> dict[str, dict[str, Any]]:
    """Settings of a run but where it lies, and its config.json but for the preprocessing."""
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    del recipe["out"]
    model = {**SIZES[recipe.pop("size")], **variant.model}
    own = {"corpus": corpus, "steps": steps, "save_steps": 100, "seed": seed}
    return {"settings": {**recipe, **own, **variant.settings}, "model": model}


def pretrain(folder: Path, settings: dict[str, Any], model: dict[str, Any]) -> None:
    """Train as a user would; goes on by itself where it was interrupted."""
    write_json(folder / "model.json", model, overwrite=True)
    paths = {"out": str(folder), "model_config": str(folder / "model.json")}
    config = folder / "pretrain.yaml"
    config.write_text(yaml.safe_dump({**settings, **paths}, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "eegfoundation.cli", "pretrain", "--config", str(config)]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        sys.exit(f"Pretraining stopped (see above). Again by: {' '.join(command)}")


def last_losses(folder: Path, settings: dict[str, Any]) -> dict[str, float]:
    """Those that were trained for: the head of another is as it was at the start."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        *_, last = csv.DictReader(file)
    names = [f"{part}_loss" for part in LOSSES if settings[f"{part}_weight"] > 0]
    return {name: round(float(last[name]), 4) for name in names}


def kept(path: Path, asked: dict[str, Any], find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give what the file holds; find and write it first where there is none."""
    if not path.exists():
        write_json(path, {"asked": asked, "found": find()})
    held = json.loads(path.read_text(encoding="utf-8"))
    if held["asked"] != asked:
        sys.exit(f"{path} holds a score of other settings; delete {path.parent} or set --out.")
    return held["found"]


def row_of(variant: Variant, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and score one variant, and its twin, unless that is done."""
    asked = asked_of(variant, arguments.corpus, arguments.steps, seed)
    folder = arguments.out / f"{variant.name}-seed{seed}"
    # variants that leave the architecture as it is share the twin of the reference
    owner = variant.name if variant.model else VARIANTS[0].name

    def find() -> dict[str, Any]:
        pretrain(folder, **asked)
        encoder = load_encoder(folder / "encoder")
        twin = kept(
            arguments.out / f"{owner}-seed{seed}" / "twin.json",
            {"model": asked["model"], "preprocessing": encoder.config.preprocessing},
            lambda: design_scores(random_encoder(encoder.config, seed), arguments.data),
        )
        losses = last_losses(folder, asked["settings"])
        return {**design_scores(encoder, arguments.data), **losses, "twin": twin}

    return {"variant": variant.name, "seed": seed, **kept(folder / "score.json", asked, find)}


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown; means over seeds, with their deviation where there are several."""

    def cell(values: list[float | None]) -> str:
        if None in values:
            return "-"
        spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        return f"{np.mean(values):.3f}{spread}"

    lines = [
        "| variant | what it tests | as it is | standardised | its twin, as it is / standardised "
        "| token / spectrum / window loss |",
        "|---|---|---|---|---|---|",
    ]
    for variant in VARIANTS:
        own = [row for row in rows if row["variant"] == variant.name]
        if not own:
            continue
        cells = [variant.name, variant.reason]
        for kind in ("", "_standardised"):
            mean, *tasks = (
                cell([row[f"{name}{kind}"] for row in own]) for name in ("mean", "stress", "ssvep")
            )
            cells.append(f"{mean} ({', '.join(tasks)})")
        twins = [cell([row["twin"][key] for row in own]) for key in ("mean", "mean_standardised")]
        losses = [cell([row.get(f"{part}_loss") for row in own]) for part in LOSSES]
        cells += [" / ".join(twins), " / ".join(losses)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main(argv: list[str] | None = None) -> None:
    """Train and score what is missing; print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--corpus", default="corpora/small", help="made by build-corpus")
    parser.add_argument("--out", type=Path, default=Path("runs/objective"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args(argv)
    asked = [
        (variant, seed)
        for seed in range(arguments.seeds)
        for variant in VARIANTS
        if variant.name in arguments.only
    ]
    rows = []
    for variant, seed in (bar := tqdm(asked, unit="run", disable=None)):
        bar.set_description(f"{variant.name}-seed{seed}")
        rows.append(row_of(variant, seed, arguments))
    print(
        f"Balanced accuracy on design subjects after {arguments.steps} steps, "
        "mean of both tasks (arithmetic, flicker)\n"
    )
    print("\n".join(table(rows)))
    print(json.dumps({"steps": arguments.steps, "rows": rows}))


if __name__ == "__main__":
    main()
