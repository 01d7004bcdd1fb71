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

`vs_roformer_step` is the smaller of `small_vs_roformer_step` and `base_vs_roformer_step`.

On a GPU, `base` is compiled, as by ``pretrain --compile true``, and takes 32 windows at a time
(RoFormer, whose scores fill the memory, 1; its time is multiplied). `mfu` is the share of the GPU's
bf16 rate (that of a large matrix product, measured here) that the matrix products of `base` reach:
three times those of the forward pass, what the backward pass computes again not counted.
`mfu_without_attention_dropout` is the same without the published dropout of attention scores, whose
random numbers slow the GPU's attention down. `mfu_limit` and `mfu_limit_without_attention_dropout`
are what they would be if linear maps and attention alone took time, each as fast as when it runs
alone.

Run it on a quiet machine: on a busy one `base_vs_roformer_step` scatters by a factor of three.
``--threads 1`` takes away the waiting of threads for each other, on both sides. On a GPU give
``--layers 12``.

The last line is JSON: {"vs_roformer_step": ..., "base_vs_roformer_step": ..., ...}.
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import Any

import scaling
import torch
from measure import alternate, in_child, ratio, report, seconds
from torch import nn
from torch.nn import functional as F
from transformers import RoFormerConfig, RoFormerForMaskedLM

from eegfoundation.models import SIZES, EEGFoundationConfig
from eegfoundation.models.masked_lm import EEGFoundationForMaskedLM

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MASK_RATIO = 0.15
BATCH_SMALL = 32
BATCH_BASE = {"cpu": 1, "cuda": 32}
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
    compiled : bool
    """

    def __init__(
        self,
        model: nn.Module,
        batch: dict[str, torch.Tensor],
        *,
        bf16: bool,
        compiled: bool = False,
    ) -> None:
        self.model = model.to(DEVICE).train()
        if compiled:
            self.model.compile()
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
    n_windows, one = BATCH_BASE[DEVICE], masked_batch(1, n_tokens)

    def ours(config: EEGFoundationConfig) -> Step:
        batch = masked_batch(n_windows, n_tokens)
        model = EEGFoundationForMaskedLM(config)
        return Step(model, batch, bf16=True, compiled=DEVICE == "cuda")

    theirs = roformer(config, n_tokens)
    runs = {
        "base": ours(config),
        "roformer_bf16": Step(theirs, one, bf16=True),
        "roformer": Step(theirs, one, bf16=False),
    }
    without = copy.deepcopy(config)
    without.attention_probs_dropout_prob = 0.0
    if DEVICE == "cuda":
        runs["base_without_attention_dropout"] = ours(without)
    times = alternate(runs, repeats)
    step_s = seconds(times)["base_s"]
    figures = {
        "base_vs_roformer_step": n_windows * ratio(times, "roformer", "base"),
        "base_vs_roformer_bf16_step": n_windows * ratio(times, "roformer_bf16", "base"),
        "base_layers": n_layers,
        "base_step_s": step_s,
        "roformer_step_s": n_windows * seconds(times)["roformer_s"],
        "base_tokens_per_s": n_windows * n_tokens / step_s,
    }
    if DEVICE == "cuda":
        other_s = seconds(times)["base_without_attention_dropout_s"]
        flops, rate = n_windows * training_flops(config, n_tokens), matmul_rate(8192, 8192, 8192)
        figures |= {
            "mfu": flops / step_s / rate,
            "mfu_limit": flops / least_seconds(config, n_windows, n_tokens) / rate,
            "mfu_without_attention_dropout": flops / other_s / rate,
            "mfu_limit_without_attention_dropout": flops
            / least_seconds(without, n_windows, n_tokens)
            / rate,
            "gpu_tflops": rate / 1e12,
        }
    return figures


def training_flops(config: EEGFoundationConfig, n_tokens: int) -> int:
    """Of the matrix products in a step on one window: forward, and twice as many backward."""
    model = EEGFoundationForMaskedLM(config).to(DEVICE)
    one = {name: x.to(DEVICE) for name, x in masked_batch(1, n_tokens).items()}
    return 6 * scaling.counted_multiply_adds(model, one)


def least_seconds(config: EEGFoundationConfig, n_windows: int, n_tokens: int) -> float:
    """What linear maps and attention of all layers take on the GPU, each run alone."""
    d, wide, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    n = n_windows * n_tokens
    linear = 6 * (4 * n * d * d / matmul_rate(n, d, d) + 2 * n * d * wide / matmul_rate(n, d, wide))
    shape = (n_windows, heads, n_tokens, d // heads)
    q, k, v = (
        torch.randn(shape, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    )
    dropout = config.attention_probs_dropout_prob

    def attend() -> None:
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
        torch.cuda.synchronize()

    return config.num_hidden_layers * (linear + seconds(alternate({"x": attend}))["x_s"])


def peak_of(which: str, n_layers: int) -> None:
    """Two steps of one rival, for the peak of its process."""
    config = EEGFoundationConfig(**{**SIZES["base"], "num_hidden_layers": n_layers})
    model = roformer(config, N_TOKENS) if which == "roformer" else EEGFoundationForMaskedLM(config)
    step = Step(model, masked_batch(1, N_TOKENS), bf16=which != "roformer")
    step()
    step()


def matmul_rate(n: int, d_in: int, d_out: int) -> float:
    """FLOP/s of a bf16 matrix product on the GPU."""
    x = torch.randn(n, d_in, device=DEVICE, dtype=torch.bfloat16)
    weight = torch.randn(d_out, d_in, device=DEVICE, dtype=torch.bfloat16)

    def run() -> None:
        for _ in range(20):
            F.linear(x, weight)
        torch.cuda.synchronize()

    return 20 * 2 * n * d_in * d_out / seconds(alternate({"x": run}))["x_s"]


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
