import numpy as np
import pytest
import torch
from transformers import TrainingArguments

from eegfoundation.models import SIZES, EEGFoundationConfig
from eegfoundation.models.objective import EEGFoundationForPreTraining, Objective
from eegfoundation.pretraining.masking import span_mask
from eegfoundation.pretraining.trainer import Masker, PretrainingTrainer


def item(window, epoch=0, n_times=400):
    signal = np.random.default_rng((window, 1)).normal(0, 20, n_times).astype(np.float32)
    return {"signal": signal, "window": window, "epoch": epoch}


def test_a_batch_is_signals_and_masks():
    batch = Masker(16, ratio=0.25, span=2, seed=3)([item(7), item(9, epoch=2)])
    assert set(batch) == {"signal", "masked"}
    assert (batch["signal"].dtype, batch["signal"].shape) == (torch.float32, (2, 400))
    assert (batch["masked"].dtype, batch["masked"].shape) == (torch.bool, (2, 16))
    np.testing.assert_array_equal(batch["signal"][0].numpy(), item(7)["signal"])
    expected = span_mask(16, ratio=0.25, span=2, seed=3, epoch=2, window=9)
    np.testing.assert_array_equal(batch["masked"][1].numpy(), expected)


def test_a_mask_does_not_depend_on_what_else_is_in_the_batch():
    masker = Masker(80, ratio=0.15, span=4, seed=0)
    alone = masker([item(5, epoch=1)])["masked"][0]
    together = masker([item(4), item(5, epoch=0), item(5, epoch=1)])["masked"]
    assert torch.equal(together[2], alone)
    assert not torch.equal(together[1], alone)  # other epochs, other masks


@pytest.fixture
def trainer(tmp_path):
    """A trainer of four steps of two batches each, and what its model gave."""

    def make(objective=None):
        torch.manual_seed(0)
        model = EEGFoundationForPreTraining(EEGFoundationConfig(**SIZES["tiny"]), objective)
        outputs = []
        model.register_forward_hook(lambda *args: outputs.append(args[-1]))
        arguments = TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=4,
            per_device_train_batch_size=3,
            gradient_accumulation_steps=2,
            logging_steps=2,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            disable_tqdm=True,
        )
        dataset = [item(i) for i in range(24)]
        masker = Masker(16, ratio=0.25, span=2, seed=0)
        trainer = PretrainingTrainer(
            model=model, args=arguments, train_dataset=dataset, data_collator=masker
        )
        trainer.train()
        return [row for row in trainer.state.log_history if "loss" in row], outputs

    return make


def test_log_lines_show_the_means_of_the_parts_since_the_last_line(trainer):
    rows, outputs = trainer()
    assert [row["step"] for row in rows] == [2, 4]
    assert len(outputs) == 8
    for row, since in zip(rows, (outputs[:4], outputs[4:]), strict=True):
        for name in ("loss", "token_loss", "token_accuracy", "spectrum_loss", "window_loss"):
            mean = torch.stack([output[name] for output in since]).mean().item()
            assert row[name] == pytest.approx(mean, rel=1e-5), name
        assert row["tokens_per_second"] > 0


def test_log_lines_leave_out_what_was_not_asked_for(trainer):
    rows, _ = trainer(Objective(token_weight=1, spectrum_weight=0, window_weight=0))
    assert {"token_loss", "token_accuracy"} <= set(rows[0])
    assert not {"spectrum_loss", "window_loss"} & set(rows[0])
    assert rows[0]["loss"] == pytest.approx(rows[0]["token_loss"])
