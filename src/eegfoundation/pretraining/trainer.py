"""Batches and log lines of pretraining, for transformers' Trainer."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback

from eegfoundation.checksums import LIST, write_sums
from eegfoundation.pretraining.masking import span_mask

_PARTS = ("token_loss", "token_accuracy", "spectrum_loss", "window_loss")


class Masker:
    """Collate items of a `CorpusDataset`: stack signals, draw which positions to guess.

    Parameters
    ----------
    n_positions : int
    ratio, span, seed
        As in `span_mask`.
    """

    def __init__(self, n_positions: int, ratio: float, span: int, seed: int) -> None:
        self.n_positions, self.ratio, self.span, self.seed = n_positions, ratio, span, seed

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Give ``signal`` (B, T) float32 and ``masked`` (B, N) bool."""
        masks = [
            span_mask(
                self.n_positions,
                ratio=self.ratio,
                span=self.span,
                seed=self.seed,
                epoch=item["epoch"],
                window=item["window"],
            )
            for item in items
        ]
        return {
            "signal": torch.from_numpy(np.stack([item["signal"] for item in items])),
            "masked": torch.from_numpy(np.stack(masks)),
        }


class ChecksumCallback(TrainerCallback):
    """Write the checksums of a checkpoint into it, last of all; see `record.last_checkpoint`."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """When a checkpoint is complete."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_sums(folder, [path.name for path in folder.iterdir() if path.name != LIST])


class PretrainingTrainer(Trainer):
    """Trainer whose log also shows the parts of the loss and the tokens per second."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parts: dict[str, list[Tensor]] = defaultdict(list)
        self._n_tokens = 0
        self._clock = time.perf_counter()

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Loss of a batch; its parts are kept for the next log line."""
        output = model(**inputs)
        for name in _PARTS:
            if name in output:
                self._parts[name].append(output[name].detach())
        self._n_tokens += inputs["signal"].numel() * self.args.world_size
        return (output.loss, output) if return_outputs else output.loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was collected since the last line."""
        if "loss" in logs and self._parts:
            means = torch.stack([torch.stack(kept).mean() for kept in self._parts.values()])
            means = self.accelerator.reduce(means, "mean")  # over processes, as the loss is
            logs |= dict(zip(self._parts, means.tolist(), strict=True))
            now = time.perf_counter()
            logs["tokens_per_second"] = round(self._n_tokens / (now - self._clock))
            self._parts.clear()
            self._n_tokens, self._clock = 0, now
        super().log(logs, start_time)

    def _save_rng_state(self, output_dir: str) -> None:
        """Wait for every process: what follows, ``trainer_state.json``, says that all is there."""
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()
