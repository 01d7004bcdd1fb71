"""open-eeg-bench builds, adapts, trains and probes our model.

It has an environment with braindecode: `make test-integrations`. Its data sets lie on a hub; one of
ours takes their place.
"""

import pytest
import torch

from eegfoundation import load_encoder

# of braindecode and what it imports
pytestmark = pytest.mark.filterwarnings("default")
torch.set_num_threads(1)

OURS = "eegfoundation.integrations.braindecode.EEGFoundation"


@pytest.fixture(scope="module")
def bench():
    hint = "open-eeg-bench is not installed: make test-integrations"
    return pytest.importorskip("open_eeg_bench", reason=hint)


@pytest.fixture(scope="module")
def checkpoint(model_class, encoder_folder, tmp_path_factory):
    """A saved model of 22 channels, 4 s at 250 Hz; random weights of another seed than built."""
    encoder = tmp_path_factory.mktemp("encoder") / "trained"
    load_encoder(encoder_folder, weights="random", seed=7).save_pretrained(encoder)
    model = model_class(n_outputs=4, n_chans=22, n_times=1000, sfreq=250, encoder=str(encoder))
    model.save_pretrained(folder := tmp_path_factory.mktemp("checkpoint"))
    return folder / "pytorch_model.bin"


@pytest.fixture
def backbone(bench, checkpoint, encoder_folder):
    from open_eeg_bench.backbone import PretrainedBackbone

    def make(**kwargs):
        settings = {
            "model_cls": OURS,
            "model_kwargs": {"encoder": str(encoder_folder)},
            "checkpoint_path": str(checkpoint),
        }
        return PretrainedBackbone(**{**settings, **kwargs})

    return make


SHAPE = {"n_chans": 7, "n_times": 200, "n_outputs": 2, "sfreq": 100.0}


def test_builds_for_other_channels_and_lengths(backbone, checkpoint):
    model = backbone().build(**SHAPE)
    saved = torch.load(checkpoint, weights_only=True)
    loaded = model.state_dict()
    assert {name for name in loaded if not name.startswith("final_layer")} == {
        name for name in saved if not name.startswith("final_layer")
    }
    for name, value in loaded.items():
        assert name.startswith("final_layer") or torch.equal(value, saved[name])
    assert model(20 * torch.randn(3, 7, 200)).shape == (3, 2)


def test_refuses_wrong_checkpoints(backbone, checkpoint, tmp_path):
    from braindecode.models import EEGNet

    torch.save(EEGNet(n_chans=7, n_times=200, n_outputs=2).state_dict(), tmp_path / "other.bin")
    with pytest.raises(ValueError, match=r"missing \d+ learnable parameter"):
        backbone(checkpoint_path=str(tmp_path / "other.bin")).build(**SHAPE)
    weights = torch.load(checkpoint, weights_only=True)
    del weights["encoder.layers.1.fc1.weight"]
    torch.save(weights, tmp_path / "less.bin")
    with pytest.raises(ValueError, match=r"encoder\.layers\.1\.fc1\.weight"):
        backbone(checkpoint_path=str(tmp_path / "less.bin")).build(**SHAPE)


@pytest.mark.parametrize(
    "strategy", ["Frozen", "LoRA", "AdaLoRA", "DoRA", "OFT", "IA3", "FullFinetune", "TwoStages"]
)
def test_strategies(bench, backbone, strategy):
    """A new head, an adaptation, one step: all that is to be trained gets a gradient."""
    from open_eeg_bench import finetuning
    from open_eeg_bench.head import LinearHead

    settings = {"total_step": 2000} if strategy == "AdaLoRA" else {}
    config = backbone(
        peft_target_modules=["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
        peft_ff_modules=["fc1", "fc2"],
    )
    model = config.build(**SHAPE)
    LinearHead().apply(model, 2, config.head_module_name)
    model(torch.zeros(1, 7, 200))
    model, _ = getattr(finetuning, strategy)(**settings).apply(model, config)
    model.train()
    x = 20 * torch.randn(4, 7, 200, generator=torch.Generator().manual_seed(0))
    torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 0, 1])).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert any("final_layer" in name for name in trained)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.values())
    if strategy not in ("Frozen", "TwoStages"):
        assert any("encoder." in name and p.grad.abs().sum() > 0 for name, p in trained.items())


@pytest.mark.parametrize("training", ["sgd", "ridge"])
def test_an_experiment_from_end_to_end(bench, backbone, make_windows, monkeypatch, training):
    """What `benchmark` runs for one data set: a person each to train, validate and test."""
    from open_eeg_bench.dataset import Dataset, PredefinedSplitter
    from open_eeg_bench.experiment import Experiment
    from open_eeg_bench.head import FlattenHead, LinearHead
    from open_eeg_bench.training import RidgeProbingTraining, Training

    monkeypatch.setattr(Dataset, "load", lambda self: make_windows(3))
    splitter = PredefinedSplitter(
        metadata_key="subject", train_values=["P0"], val_values=["P1"], test_values=["P2"]
    )
    sgd = training == "sgd"
    result = Experiment(
        backbone=backbone(),
        head=LinearHead() if sgd else FlattenHead(),
        dataset=Dataset(hf_id="ours", revision="none", n_classes=2, splitter=splitter),
        training=(
            Training(max_epochs=6, lr=3e-3, batch_size=8, scheduler_warmup_epochs=1)
            if sgd
            else RidgeProbingTraining(batch_size=8)
        ),
        verbose=0,
    ).run()
    assert result["test_balanced_accuracy"] > 0.8
