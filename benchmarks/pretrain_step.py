"""How fast a training step is, against transformers' `RoFormerForMaskedLM`.

    python benchmarks/pretrain_step.py [--layers 6] [--repeats 3] [--threads N]

A step is forward, backward, clipping and fused AdamW, on random signals that are in memory.

``small``: as ``eegfoundation pretrain`` runs it (bf16 autocast, all its objectives), 32 windows of
10 s. The published way of the same sizes is a RoFormer with one position per token, so 2,000 of
them; it takes 1 window per step and its time is multiplied. That ratio is `small_vs_roformer_step`.
Most of it comes from merging 50 tokens into a position, so `small_vs_roformer_per_position` also
gives the ratio to a RoFormer that sees 40 tokens, which is all it then knows of the 10 s: the same
number of positions through the same layers, while ours embeds 50 times the samples and takes
their spectra as further targets.

``base``: width, heads and dropout of the published configuration, 2,000 positions, 300 of them
masked, 1 window, the same masked-token loss on both sides. RoFormer attends eagerly, in float32,
and scores all positions; ours attends fused, in bf16, and scores the masked positions.
`base_vs_roformer_bf16_step` is the ratio to a RoFormer in bf16 autocast, which is not how it is
published. Layers are all alike: 6 of the 12 fit into 6 GB; ``--layers 12`` needs 11.

`vs_roformer_step` is the smaller of `small_vs_roformer_step` and `base_vs_roformer_step`. With a
GPU, `mfu` is the share of its bf16 rate (that of a large matrix product, measured here) that the
matrix products of `base` reach in a step of ours.

Run it on a quiet machine: on a busy one `base_vs_roformer_step` scatters by a factor of three.
``--threads 1`` takes away the waiting of threads for each other, on both sides.

The last line is JSON: {"vs_roformer_step": ..., "base_vs_roformer_step": ..., ...}.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import scaling
import torch
from measure import alternate, in_child, ratio, report, seconds
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import RoFormerConfig, RoFormerForMaskedLM

from eegfoundation.models import SIZES, EEGFoundationConfig
from eegfoundation.models.masked_lm import EEGFoundationForMaskedLM

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MASK_RATIO = 0.15
BATCH_SMALL = 32
N_TOKENS = 2000  # 10 s at 200 Hz


class Step:
    """One optimizer step after the other on one batch.

    Parameters
    ----------
    model : Module
        Whose output has a ``loss``.
    batch : dict of Tensor
    bf16 : bool
        Autocast.
    """

    def __init__(self, model: nn.Module, batch: dict[str, torch.Tensor], *, bf16: bool) -> None:
        self.model = model.to(DEVICE).train()
        self.batch = {name: x.to(DEVICE) for name, x in batch.items()}
        self.bf16 = bf16
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-5, fused=True)

    def __call__(self) -> float:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=self.bf16):
            loss = self.model(**self.batch).loss
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 2.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()  # waits for the GPU


def masked_batch(n_windows: int, n_tokens: int) -> dict[str, torch.Tensor]:
    """Random tokens, 15% of them to be guessed."""
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 2000, (n_windows, n_tokens), generator=random)
    masked = torch.rand(ids.shape, generator=random).argsort(1) < round(MASK_RATIO * n_tokens)
    config = EEGFoundationConfig()
    return {
        "input_ids": ids.masked_fill(masked, config.mask_token_id),
        "labels": ids.masked_fill(~masked, -100),
    }


def roformer(config: EEGFoundationConfig, n_positions: int) -> RoFormerForMaskedLM:
    """RoFormer of the same sizes, with one position per token."""
    return RoFormerForMaskedLM(
        RoFormerConfig(
            vocab_size=config.vocab_size,
            pad_token_id=config.pad_token_id,
            embedding_size=config.hidden_size,
            max_position_embeddings=n_positions,
            **{
                name: getattr(config, name)
                for name in (
                    *("hidden_size", "num_hidden_layers", "num_attention_heads"),
                    *("intermediate_size", "hidden_dropout_prob", "attention_probs_dropout_prob"),
                )
            },
        )
    )


def measure_small(repeats: int, n_tokens: int = N_TOKENS) -> dict[str, float]:
    """`small` as it is trained, against RoFormers that see all tokens and every 50th."""
    config = EEGFoundationConfig(**SIZES["small"])
    n_positions = n_tokens // config.tokens_per_position
    recipe = scaling.read_recipe("small")
    masker = scaling.make_masker(n_positions, recipe)
    batch = scaling.noise_batch(masker, BATCH_SMALL, DEVICE)
    batch["signal"] = batch["signal"][:, :n_tokens]
    runs = {
        "small": Step(scaling.make_model(config, recipe), batch, bf16=True),
        "roformer": Step(roformer(config, n_tokens), masked_batch(1, n_tokens), bf16=False),
        "roformer_of_40": Step(
            roformer(config, n_positions), masked_batch(BATCH_SMALL, n_positions), bf16=False
        ),
    }
    times = alternate(runs, repeats)
    step_s = seconds(times)["small_s"]
    return {
        "small_vs_roformer_step": BATCH_SMALL * ratio(times, "roformer", "small"),
        "small_vs_roformer_per_position": ratio(times, "roformer_of_40", "small"),
        "small_step_s": step_s,
        "small_tokens_per_s": BATCH_SMALL * n_tokens / step_s,
    }


def measure_base(repeats: int, n_layers: int, n_tokens: int = N_TOKENS) -> dict[str, float]:
    """Published widths, with `n_layers` of its 12 layers."""
    config = EEGFoundationConfig(**{**SIZES["base"], "num_hidden_layers": n_layers})
    batch = masked_batch(1, n_tokens)
    ours = Step(EEGFoundationForMaskedLM(config), batch, bf16=True)
    theirs = roformer(config, n_tokens)
    runs = {
        "base": ours,
        "roformer_bf16": Step(theirs, batch, bf16=True),
        "roformer": Step(theirs, batch, bf16=False),
    }
    times = alternate(runs, repeats)
    step_s = seconds(times)["base_s"]
    figures = {
        "base_vs_roformer_step": ratio(times, "roformer", "base"),
        "base_vs_roformer_bf16_step": ratio(times, "roformer_bf16", "base"),
        "base_layers": n_layers,
        "base_step_s": step_s,
        "roformer_step_s": seconds(times)["roformer_s"],
        "base_tokens_per_s": n_tokens / step_s,
    }
    if DEVICE == "cuda":
        with FlopCounterMode(display=False) as counter:
            ours()
        figures["mfu"] = counter.get_total_flops() / step_s / matmul_rate()
    return figures


def peak_of(which: str, n_layers: int) -> None:
    """Two steps of one rival, for the peak of its process."""
    config = EEGFoundationConfig(**{**SIZES["base"], "num_hidden_layers": n_layers})
    model = roformer(config, N_TOKENS) if which == "roformer" else EEGFoundationForMaskedLM(config)
    step = Step(model, masked_batch(1, N_TOKENS), bf16=which != "roformer")
    step()
    step()


def matmul_rate(size: int = 8192) -> float:
    """FLOP/s of a large bf16 matrix product on the GPU."""
    x = torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16)

    def run() -> None:
        for _ in range(20):
            x @ x
        torch.cuda.synchronize()

    return 20 * 2 * size**3 / seconds(alternate({"x": run}))["x_s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=6, help="of base, of 12")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: PyTorch's choice")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    began = time.perf_counter()
    figures: dict[str, Any] = measure_small(args.repeats) | measure_base(args.repeats, args.layers)
    both = (figures["small_vs_roformer_step"], figures["base_vs_roformer_step"])
    figures = {"vs_roformer_step": min(both), **figures}
    if DEVICE == "cpu":  # where memory is that of the process
        peaks = {name: in_child(peak_of, name, args.layers)[1] for name in ("base", "roformer")}
        figures["base_memory_ratio"] = peaks["base"] / peaks["roformer"]
        figures["roformer_peak_gb"] = peaks["roformer"] / 2**10
    print(f"took {time.perf_counter() - began:.0f} s")
    report(figures)


if __name__ == "__main__":
    main()
