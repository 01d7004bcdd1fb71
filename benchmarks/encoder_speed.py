"""How fast the encoder is at the published size, against transformers' `RoFormerModel`.

    python benchmarks/encoder_speed.py [--windows 2] [--layers 12] [--repeats 5]

Both hold the same weights (12 layers, 512 wide, one token per sample) and encode the same windows
of 2,000 samples. RoFormer runs as it is loaded: eager attention, float32. Ours runs in float32
(`fp32_vs_roformer`; the states differ by at most `max_abs_diff_fp32`) and in bfloat16
(`bf16_vs_roformer`, whose mean states keep a cosine of at least `bf16_cosine`); for comparison,
RoFormer in bfloat16 too (`bf16_vs_roformer_bf16`).

`gemm_fraction` is the rate at which our float32 encoder works through its matrix products,
attention's included, as a share of the rate of bare products of its layers' shapes, which are timed
in the same rounds, by PyTorch's choice of library and by oneDNN: the faster one counts;
`gemm_fraction_bf16` the same in bfloat16. `bf16_limit` is what `bf16_vs_roformer` would be on this
processor if everything but the products took no time. `peak_memory_ratio` compares what a forward
pass adds to the resident memory of a fresh process that holds the model, ours to theirs.

The last line is JSON with these keys.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from typing import Any

import torch
from measure import alternate, in_child, peak_rss_mb, ratio, report, seconds
from torch import Tensor
from torch.nn import functional as F
from transformers import RoFormerConfig, RoFormerModel

from eegfoundation.models import SIZES
from eegfoundation.models.convert import from_roformer
from eegfoundation.models.linear import linear
from eegfoundation.tokenizer import N_BINS, PAD, VOCAB_SIZE

N_TOKENS = 2000  # 10 s at 200 Hz


def roformer(n_layers: int) -> RoFormerModel:
    """Random weights at the published size, the same at every call."""
    torch.manual_seed(0)
    size = SIZES["published"]
    config = RoFormerConfig(
        **size,
        embedding_size=size["hidden_size"],
        num_hidden_layers=n_layers,
        vocab_size=VOCAB_SIZE,
        pad_token_id=PAD,
        max_position_embeddings=N_TOKENS,
    )
    return RoFormerModel(config).eval()


def tokens(n_windows: int) -> Tensor:
    """Random tokens (n_windows, N_TOKENS)."""
    return torch.randint(0, N_BINS, (n_windows, N_TOKENS), generator=torch.manual_seed(1))


def products(n_windows: int, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Inputs and weights of one layer's linear maps."""
    size = SIZES["published"]
    width, inner = size["hidden_size"], size["intermediate_size"]
    shapes = [(width, width)] * 4 + [(width, inner), (inner, width)]
    n_rows = n_windows * N_TOKENS
    return [(torch.randn(n_rows, k).to(dtype), torch.randn(m, k).to(dtype)) for k, m in shapes]


def multiply(pairs: list[tuple[Tensor, Tensor]], product: Callable[..., Tensor]) -> None:
    with torch.inference_mode():
        for x, weight in pairs:
            product(x, weight)


def products_vs(times: dict[str, list[float]], gemm: str, other: str, work: float) -> float:
    """Time of an encoder's products at the rate of the fastest bare ones, by the time of `other`.

    Of our own time it is the rate of our products as a share of the bare ones'.
    """
    return work * min(ratio(times, key, other) for key in (gemm, f"{gemm}_onednn"))


def flops_of_products(n_windows: int) -> int:
    """Of `products`."""
    size = SIZES["published"]
    width, inner = size["hidden_size"], size["intermediate_size"]
    return 2 * n_windows * N_TOKENS * (4 * width**2 + 2 * width * inner)


def flops_of_encoder(n_windows: int, n_layers: int) -> int:
    """Matrix products of all layers: the linear maps, scores and weighted values."""
    attention = 2 * 2 * n_windows * N_TOKENS**2 * SIZES["published"]["hidden_size"]
    return n_layers * (flops_of_products(n_windows) + attention)


def added_memory(ours: bool, n_windows: int, n_layers: int) -> float:
    """MiB that a forward pass adds to a process that holds the model."""
    model: Any = roformer(n_layers)
    if ours:
        model, _ = from_roformer(model)
    with torch.inference_mode():
        model(tokens(1)[:, :100])  # libraries take their own
        before = peak_rss_mb()
        model(tokens(n_windows))
    return peak_rss_mb() - before


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    theirs = roformer(args.layers)
    ours, _ = from_roformer(theirs)
    theirs_bf16, ours_bf16 = (copy.deepcopy(model).bfloat16() for model in (theirs, ours))
    ids = tokens(args.windows)
    gemm, gemm_bf16 = (products(args.windows, t) for t in (torch.float32, torch.bfloat16))
    with torch.inference_mode():
        expected, found = theirs(ids).last_hidden_state, ours(ids)
        difference = (found.last_hidden_state - expected).abs().max()
        low = ours_bf16(ids).pooler_output
        cosine = F.cosine_similarity(low.float(), found.pooler_output).min()
        runs = {
            "roformer": lambda: theirs(ids),
            "ours": lambda: ours(ids),
            "gemm": lambda: multiply(gemm, F.linear),
            "gemm_onednn": lambda: multiply(gemm, linear),
            "roformer_bf16": lambda: theirs_bf16(ids),
            "ours_bf16": lambda: ours_bf16(ids),
            "gemm_bf16": lambda: multiply(gemm_bf16, F.linear),
            "gemm_bf16_onednn": lambda: multiply(gemm_bf16, linear),
        }
        times = alternate(runs, args.repeats)
    work = flops_of_encoder(args.windows, args.layers) / flops_of_products(args.windows)
    memory = [in_child(added_memory, kind, args.windows, args.layers)[0] for kind in (True, False)]
    report(
        {
            "fp32_vs_roformer": ratio(times, "roformer", "ours"),
            "max_abs_diff_fp32": difference.item(),
            "bf16_vs_roformer": ratio(times, "roformer", "ours_bf16"),
            "bf16_vs_roformer_bf16": ratio(times, "roformer_bf16", "ours_bf16"),
            "bf16_cosine": cosine.item(),
            "gemm_fraction": products_vs(times, "gemm", "ours", work),
            "gemm_fraction_bf16": products_vs(times, "gemm_bf16", "ours_bf16", work),
            "bf16_limit": 1 / products_vs(times, "gemm_bf16", "roformer", work),
            "peak_memory_ratio": memory[0] / memory[1],
            "ours_added_mb": memory[0],
            "roformer_added_mb": memory[1],
            **seconds(times),
        }
    )


if __name__ == "__main__":
    main()
