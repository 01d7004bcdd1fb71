"""What pretraining costs, up to 27,000 hours, and what more data and larger models bring.

    python benchmarks/scaling.py cost [--sizes small base ...] [--computed]
    python benchmarks/scaling.py loss [--corpus corpora/small] [--out runs/scaling] [--steps 400]

``cost``: bytes, tokens and multiply-adds of every size, by formulae that are checked against
PyTorch's own count, and the tokens per second that this machine trains (forward, backward, AdamW;
bf16 autocast; the GPU if there is one; random signals, so without reading), extrapolated to one
pass over 27,000 hours of 19 channels. ``--computed`` leaves the measurement out.

``loss``: short runs at 3 model sizes x 3 shares of the training subjects, the smaller share within
the larger. Everything else is that of recipes/pretrain_small.yaml and the same in all. A point is
the mean loss after training over all windows of subjects that no run has seen, always under the
same masks. Interrupt and restart at will: a point is one JSON file and is not made again.

The tables printed are those of docs/scaling.md; the last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from eegfoundation.corpus.order import CorpusDataset
from eegfoundation.corpus.reader import Corpus
from eegfoundation.corpus.shards import record_dtype
from eegfoundation.models import SIZES, EEGFoundationConfig
from eegfoundation.models.objective import (
    N_SPECTRAL_BINS,
    QUANTILES,
    EEGFoundationForPreTraining,
    Objective,
)
from eegfoundation.outputs import new_file, write_json
from eegfoundation.pretraining.trainer import Masker

RECIPES = Path(__file__).parents[1] / "recipes"
SFREQ, WINDOW = 200, 10  # of the published corpus: Hz, seconds
N_TIMES = SFREQ * WINDOW
CHANNEL_HOURS = 27_000 * 19
TOKENS = CHANNEL_HOURS * 3600 * SFREQ
BATCH_SIZES = {
    "cpu": {"tiny": 32, "small": 32, "published": 1, "base": 1},
    "cuda": {"tiny": 512, "small": 512, "published": 16, "base": 16},
}
#: Around `small`: width, layers, heads. The stem is the same in all.
MODELS = {
    f"{width} x {layers}": {
        **SIZES["small"],
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
    }
    for width, layers, heads in ((96, 2, 2), (160, 3, 4), (256, 4, 4))
}
SHARES = (1 / 9, 1 / 3, 1.0)
HELD_OUT = 0.2  # of the subjects of every source
UNUSED = {"corpus", "out", "size", "steps", "save_steps", "log_steps"}  # of the recipe
PARTS = ("loss", "token_loss", "token_accuracy", "spectrum_loss", "window_loss")


# ---- training, as recipes say -------------------------------------------------------------------


def read_recipe(name: str) -> dict[str, Any]:
    recipe: dict[str, Any] = yaml.safe_load((RECIPES / f"pretrain_{name}.yaml").read_text())
    return recipe


def make_model(config: EEGFoundationConfig, recipe: dict[str, Any]) -> EEGFoundationForPreTraining:
    torch.manual_seed(recipe["seed"])
    weights = {k: v for k, v in recipe.items() if k in Objective.__annotations__}
    return EEGFoundationForPreTraining(config, Objective(**weights))


def make_masker(n_positions: int, recipe: dict[str, Any]) -> Masker:
    return Masker(n_positions, recipe["mask_ratio"], recipe["mask_span"], recipe["seed"])


class Training:
    """One optimizer step after the other, in bf16 autocast."""

    def __init__(self, model: EEGFoundationForPreTraining, recipe: dict[str, Any], steps: int):
        self.model, self.parameters = model.train(), list(model.parameters())
        self.optimizer = torch.optim.AdamW(
            [  # no decay of biases and norms
                {"params": [p for p in self.parameters if p.ndim > 1]},
                {"params": [p for p in self.parameters if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=recipe["learning_rate"],
            betas=(0.9, 0.98),
            eps=1e-6,
            weight_decay=recipe["weight_decay"],
        )
        rising = max(1, round(recipe["warmup"] * steps))
        falling = max(1, steps - rising)
        self.schedule = LambdaLR(
            self.optimizer, lambda k: min(k / rising, 1 - 0.98 * (k - rising) / falling)
        )

    def step(self, batch: dict[str, torch.Tensor]) -> None:
        with torch.autocast(batch["signal"].device.type, torch.bfloat16):
            loss = self.model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 2.0)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()


# ---- cost ---------------------------------------------------------------------------------------


def multiply_adds(
    config: EEGFoundationConfig, objective: Objective, n_times: int, n_masked: int
) -> int:
    """Of the matrix products in one window's forward pass.

    Norms, activations, softmax and the Fourier transform of the targets are left out.
    """
    d, e, p = config.hidden_size, config.embedding_size, config.tokens_per_position
    n = n_times // p
    stem = n * e * d if e != d else 0
    if config.merges_tokens:
        seen = config.tokens_seen
        # every p tokens meet all parts of the filters once, also those beyond both edges
        n_filtered = n if seen % p else n + seen // p - 1
        stem = n_filtered * seen * e * d + n * (d + d // 2) * d
    layer = n * (4 * d * d + 2 * d * config.intermediate_size) + 2 * n * n * d
    asked = math.ceil(p / objective.token_stride)
    total = stem + config.num_hidden_layers * layer
    total += n_masked * (d * e * p + asked * e * config.vocab_size)
    if objective.wants_spectra:
        targets = 2 * N_SPECTRAL_BINS
        total += n * d * targets + 2 * d * (1 + len(QUANTILES)) * targets
    return total


def counted_multiply_adds(model: EEGFoundationForPreTraining, batch: dict[str, Any]) -> int:
    """The same, counted by PyTorch; it knows fused attention on some devices only.

    With gradients, as without them linear maps are oneDNN's, which it does not know at all.
    """
    counter = FlopCounterMode(display=False)
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(**batch)
    return int(counter.get_total_flops()) // 2


def bytes_per_channel_hour(window: float = WINDOW, sfreq: float = SFREQ) -> float:
    """Of the records in the shards. Beside them, a recording has a header and a ``.json``."""
    return record_dtype(round(window * sfreq)).itemsize * 3600 / window


def noise_batch(masker: Masker, size: int, device: str) -> dict[str, torch.Tensor]:
    signals = np.random.default_rng(0).normal(0, 20, (size, N_TIMES)).astype(np.float32)
    items = [{"signal": signal, "window": i, "epoch": 0} for i, signal in enumerate(signals)]
    return {name: value.to(device) for name, value in masker(items).items()}


def seconds_per_step(training: Training, batch: dict[str, torch.Tensor]) -> float:
    """Median of 3 to 20 steps after 2, about a minute at most."""
    times: list[float] = []
    while len(times) < 5 or (len(times) < 22 and sum(times) < 60):
        began = time.perf_counter()
        training.step(batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def cost(size: str, device: str, *, measure: bool) -> dict[str, Any]:
    config = EEGFoundationConfig(**SIZES[size])
    recipe = read_recipe("small" if config.merges_tokens else "tueg")
    model = make_model(config, recipe).to(device)
    masker = make_masker(N_TIMES // config.tokens_per_position, recipe)
    one = noise_batch(masker, 1, device)
    forward = multiply_adds(config, model.objective, N_TIMES, int(one["masked"].sum()))
    counted = counted_multiply_adds(model, one)
    if abs(forward / counted - 1) > 0.02:
        raise SystemExit(f"{size}: {forward} multiply-adds by formula, {counted} by PyTorch")
    parameters, rate = model.encoder.num_parameters(), SFREQ / config.tokens_per_position
    row = {
        "size": size,
        "parameters_m": parameters / 1e6,
        "positions_per_s": rate,
        "product_m": parameters * rate / 1e6,
        "multiply_adds_m": 3 * forward / WINDOW / 1e6,  # forward, and twice as much backward
        "flops_of_a_pass": 6 * forward / WINDOW * 3600 * CHANNEL_HOURS,
    }
    row["days_at_100_tflops"] = row["flops_of_a_pass"] / 1e14 / 86400
    if measure:
        row["batch_size"] = BATCH_SIZES[device][size]
        batch = noise_batch(masker, row["batch_size"], device)
        seconds = seconds_per_step(Training(model, recipe, 1000), batch)
        row["tokens_per_s"] = row["batch_size"] * N_TIMES / seconds
        row["tflops"] = 6 * forward * row["batch_size"] / seconds / 1e12
        row["days_of_a_pass"] = TOKENS / row["tokens_per_s"] / 86400
    return row


def run_costs(sizes: list[str], *, measure: bool) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.backends.cpu.get_cpu_capability()
    name = torch.cuda.get_device_name() if device == "cuda" else f"{name} CPU"
    n_bytes = bytes_per_channel_hour()
    print(
        f"One channel-hour: {3600 * SFREQ:,} tokens, {n_bytes:,.0f} bytes; {CHANNEL_HOURS:,} "
        f"channel-hours: {TOKENS:.3g} tokens, {n_bytes * CHANNEL_HOURS / 1e12:.3f} TB.\n"
    )
    rows = [cost(size, device, measure=measure) for size in tqdm(sizes, disable=None)]
    print_table(
        rows,
        {
            "size": "`{size}`",
            "parameters": "{parameters_m:.2f} M",
            "positions per second": "{positions_per_s:g}",
            "product": "{product_m:,.0f} M",
            "multiply-adds per second": "{multiply_adds_m:,.0f} M",
            "FLOPs of a pass": "{flops_of_a_pass:.1e}",
            "days at 100 TFLOP/s": "{days_at_100_tflops:.2g}",
        },
    )
    if measure:
        print(f"\n{name}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}\n")
        columns = {
            "size": "`{size}`",
            "batch": "{batch_size}",
            "tokens per second": "{tokens_per_s:,.0f}",
            "TFLOP/s": "{tflops:.3g}",
            "days for a pass": "{days_of_a_pass:,.1f}",
        }
        print_table(rows, columns)
    print(json.dumps({"device": name, "threads": torch.get_num_threads(), "rows": rows}))


def print_table(rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    """Markdown, from headings and what stands below them."""
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(columns.values())} |".format(**row))


# ---- loss ---------------------------------------------------------------------------------------


def split_subjects(subjects: list[str]) -> tuple[list[str], list[str]]:
    """Training subjects in the order in which they join, and held-out ones; of all sources both.

    A source ("<source>/<label>") with fewer than three subjects holds none out.
    """
    rng = np.random.default_rng(0)
    sources = defaultdict(list)
    for subject in sorted(set(subjects)):
        sources[subject.split("/")[0]].append(subject)
    queue, held_out = [], []
    for _, members in sorted(sources.items()):
        shuffled = rng.permutation(members).tolist()
        n_out = round(HELD_OUT * len(members))
        held_out += shuffled[:n_out]
        joining = shuffled[n_out:]
        queue += [((i + 0.5) / len(joining), name) for i, name in enumerate(joining)]
    return [name for _, name in sorted(queue)], sorted(held_out)


def first_share(training: list[str], share: float) -> list[str]:
    return training[: max(1, round(share * len(training)))]


def batches(dataset: CorpusDataset, masker: Masker, size: int, n: int) -> Any:
    for k in range(n):
        last = min((k + 1) * size, len(dataset))
        yield masker([dataset[i] for i in range(k * size, last)])


@torch.no_grad()
def evaluate(
    model: EEGFoundationForPreTraining, dataset: CorpusDataset, masker: Masker, device: str
) -> dict[str, float]:
    """Mean parts of the loss over all windows of a dataset."""
    model.eval()
    totals = dict.fromkeys(PARTS, 0.0)
    for batch in batches(dataset, masker, 64, math.ceil(len(dataset) / 64)):
        output = model(**{name: value.to(device) for name, value in batch.items()})
        for part in PARTS:
            totals[part] += output[part].item() * len(batch["signal"])
    return {part: total / len(dataset) for part, total in totals.items()}


def train_point(
    corpus: Path, config: EEGFoundationConfig, subjects: list[str], held_out: list[str], steps: int
) -> dict[str, Any]:
    recipe = read_recipe("small")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    seed, size = recipe["seed"], recipe["batch_size"]
    dataset = CorpusDataset(corpus, seed, subjects=subjects)
    dataset.n_epochs = math.ceil(steps * size / len(dataset.corpus))
    masker = make_masker(dataset.corpus.n_times // config.tokens_per_position, recipe)
    model = make_model(config, recipe).to(device)
    training = Training(model, recipe, steps)
    for batch in tqdm(batches(dataset, masker, size, steps), total=steps, disable=None):
        training.step({name: value.to(device) for name, value in batch.items()})
    windows = len(dataset.corpus)
    unseen = CorpusDataset(corpus, seed, shuffle=False, subjects=held_out)
    return {
        "parameters_m": model.encoder.num_parameters() / 1e6,
        "subjects": len(subjects),
        "channel_hours": windows * dataset.corpus.n_times / dataset.corpus.sfreq / 3600,
        "passes": steps * size / windows,
        **evaluate(model, unseen, masker, device),
    }


def run_losses(
    corpus: Path, out: Path, steps: int, models: dict[str, dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """Make the points that are missing, then the figure and the table of all."""
    opened = Corpus(corpus)
    training, held_out = split_subjects(opened.subjects)
    if not held_out:
        raise SystemExit(f"{corpus}: no source has three subjects, so none can be held out.")
    recipe = {name: value for name, value in read_recipe("small").items() if name not in UNUSED}
    made_with = {"steps": steps, "corpus_hash": opened.meta["hash"], "recipe": recipe}
    points = []
    for (name, values), share in itertools.product((models or MODELS).items(), SHARES):
        path = out / f"{name.replace(' ', '')}-{share:.2f}.json"
        config = EEGFoundationConfig(
            **values, preprocessing=opened.meta["settings"]["preprocessing"]
        )
        settings = {**made_with, "model": values}
        if not path.exists():
            subjects = first_share(training, share)
            point = {"name": name, "share": share, "held_out": held_out, "made_with": settings}
            write_json(path, point | train_point(corpus, config, subjects, held_out, steps))
        points.append(json.loads(path.read_text()))
        if points[-1]["made_with"] != settings:
            raise SystemExit(f"{path} was made with other settings: choose another folder.")
    with new_file(out / "loss_by_size_and_data.png", overwrite=True) as unfinished:
        draw(points).savefig(unfinished, format="png", dpi=110)
    columns = {
        "model": "{name}",
        "parameters": "{parameters_m:.2f} M",
        "subjects": "{subjects}",
        "channel-hours": "{channel_hours:.1f}",
        "passes": "{passes:.1f}",
        **{part: f"{{{part}:.3f}}" for part in PARTS},
    }
    print_table(points, columns)
    compact = [{k: v for k, v in p.items() if k not in ("made_with", "held_out")} for p in points]
    print(json.dumps({"steps": steps, "held_out": held_out, "points": compact}))
    return points


def draw(points: list[dict[str, Any]]) -> Any:
    """Held-out loss against hours, a line per model; against parameters, a line per share."""
    from matplotlib.figure import Figure

    hours = ("channel_hours", "{:.3g} channel-hours")
    parameters = ("parameters_m", "{:.2g} M parameters")
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (x, _), (by, legend) in zip(
        axes, (hours, parameters), (parameters, hours), strict=True
    ):
        values = sorted({point[by] for point in points})
        for value, color in zip(values, ("#9fc5e0", "#2a6f97", "#1f2933"), strict=False):
            line = sorted((p[x], p["loss"]) for p in points if p[by] == value)
            axis.plot(*zip(*line, strict=True), "o-", color=color, label=legend.format(value))
        axis.set(xscale="log", title="Loss on unseen subjects")
        ticks = sorted({point[x] for point in points})
        axis.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    axes[0].set_xlabel("channel-hours of training data")
    axes[1].set_xlabel("millions of parameters of the encoder")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    costs = commands.add_parser("cost")
    costs.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    costs.add_argument("--computed", action="store_true", help="measure nothing")
    losses = commands.add_parser("loss")
    losses.add_argument("--corpus", type=Path, default=Path("corpora/small"))
    losses.add_argument("--out", type=Path, default=Path("runs/scaling"))
    losses.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    if args.command == "cost":
        run_costs(args.sizes, measure=not args.computed)
    else:
        run_losses(args.corpus, args.out, args.steps)


if __name__ == "__main__":
    main()
