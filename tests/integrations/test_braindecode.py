"""Our model under braindecode's conventions, trainers and checks.

braindecode has an environment of its own: `make test-integrations`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated_people import NAMES, SFREQ

from eegfoundation import (
    EEGFoundationClassifier,
    UntrainedWeightsWarning,
    embed,
    load_encoder,
)
from eegfoundation.errors import (
    ChannelError,
    CheckpointError,
    ConfigError,
    ModelInputError,
    UnitsError,
)

# of braindecode and what it imports
pytestmark = pytest.mark.filterwarnings("default")
torch.set_num_threads(1)

READOUTS = pytest.mark.parametrize("readout", ["linear", "fusion"])
SHAPE = {"n_outputs": 2, "n_times": 1000, "sfreq": SFREQ}


def signal(n=3, n_chans=7, n_times=1000, seed=0):
    return 20 * torch.randn(n, n_chans, n_times, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def make(model_class, encoder_folder):
    """Models with the tiny encoder of the tests."""

    def model(**kwargs):
        channels = {} if "chs_info" in kwargs else {"n_chans": 7}
        return model_class(**{"encoder": str(encoder_folder), **channels, **SHAPE, **kwargs})

    return model


@pytest.fixture(scope="module")
def chs_info(make_windows):
    return make_windows().datasets[0].raw.info["chs"]


def test_default_is_the_shipped_encoder(model_class):
    model = model_class(n_chans=7, **SHAPE).eval()
    shipped = load_encoder("small").state_dict()
    assert all(
        torch.equal(value, shipped[name]) for name, value in model.encoder.state_dict().items()
    )
    twin = model_class(n_chans=7, weights="random", seed=3, **SHAPE)
    other = load_encoder("small", weights="random", seed=3).state_dict()
    assert all(torch.equal(value, other[name]) for name, value in twin.encoder.state_dict().items())
    assert model(signal()).shape == (3, 2)


def test_features_are_context_vectors_of_the_package(make, encoder, chs_info):
    """The same numbers as `embed` gives for the same epochs."""
    model = make(chs_info=chs_info).eval()
    x = signal()
    features = model(x, return_features=True)["features"]
    expected = embed(x.numpy(), encoder, sfreq=SFREQ, ch_names=NAMES).values
    found = features / model.scale + model.mean
    # a token may differ where a sample lies between two bins
    np.testing.assert_allclose(found.detach(), expected, atol=0.02)


@READOUTS
def test_final_layer_is_the_only_way_out(make, readout):
    model = make(readout=readout).eval()
    x = signal()
    output = model(x, return_features=True)
    assert output["cls_token"] is None
    features = output["features"]
    assert features.shape == {"linear": (3, 7, 128), "fusion": (3, 512)}[readout]
    torch.testing.assert_close(model.final_layer(features), model(x))
    model.final_layer = torch.nn.Identity()
    torch.testing.assert_close(model(x), features)


@READOUTS
def test_contract_of_braindecodes_models(make, chs_info, readout):
    """As its test_model_contract: input and state stay, windows do not see each other."""
    model = make(chs_info=chs_info, readout=readout).eval()
    x = signal(2)
    before, state = x.clone(), {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        y, swapped = model(x), model(x.flip(0))
        changed = x.clone()
        changed[1].mul_(-3.0).add_(1.0)
        other = model(changed)
    assert torch.equal(x, before)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert y.isfinite().all()
    torch.testing.assert_close(swapped.flip(0), y)
    torch.testing.assert_close(other[0], y[0])
    rebuilt = type(model).from_config(json.loads(json.dumps(model.get_config()))).eval()
    rebuilt.load_state_dict(model.state_dict(), strict=True)
    torch.testing.assert_close(rebuilt(x), y)
    model.reset_head(10)
    assert model.n_outputs == model.get_config()["n_outputs"] == 10
    assert model(x).shape == (2, 10)
    assert "final_layer" in str(model)
    assert model.get_output_shape() == (1, 10)


@READOUTS
def test_flat_missing_and_short(make, readout):
    model = make(readout=readout)
    x = signal()
    x[0, 3] = 0.0
    x[1, 2, 100:200] = torch.nan
    for batch in (x, torch.zeros(1, 7, 1000), signal(n_times=250), signal(1, n_times=7000)):
        y = model(batch)
        assert y.isfinite().all()
        y.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(x).isfinite().all()


def test_units_are_declared_and_checked(make):
    model, in_volts = make().eval(), make(units="V").eval()
    x = signal()
    in_volts.load_state_dict(model.state_dict())
    torch.testing.assert_close(in_volts(x * 1e-6), model(x), atol=1e-2, rtol=0)
    with pytest.raises(UnitsError, match="numbers look like V: pass units='V'"):
        model(x * 1e-6)
    assert make(units="uV")(x * 1e-6).isfinite().all()  # whoever says so is believed


def test_electrodes(make, chs_info):
    """Places are looked up by name; the fusion takes channels for a set."""
    model = make(chs_info=chs_info, readout="fusion").eval()
    assert model.positions.isfinite().all()
    assert make().positions.isnan().all()
    order = torch.tensor([6, 2, 4, 0, 1, 5, 3])
    other = make(chs_info=[chs_info[i] for i in order], readout="fusion").eval()
    other.load_state_dict(model.state_dict())
    x = signal()
    torch.testing.assert_close(other(x[:, order]), model(x), atol=1e-4, rtol=0)
    eyes = [dict(chs_info[0], ch_name="EOG1", kind=202), *chs_info[1:]]
    with pytest.raises(ChannelError, match="no EEG: EOG1; pick EEG before"):
        make(chs_info=eyes)


def test_mistakes_are_one_sentence(model_class, make, encoder_folder, tmp_path):
    with pytest.raises(ConfigError, match=r"sfreq is not known; give sfreq=, or module__sfreq="):
        model_class(n_outputs=2, n_chans=7, n_times=1000)
    with pytest.raises(ConfigError, match="readout='best'; choose one of"):
        make(readout="best")
    with pytest.raises(ConfigError, match="units='volts'"):
        make(units="volts")
    with pytest.raises(
        ModelInputError, match=r"shape \(3, 5, 1000\) were given; expected \(B, 7, T\)"
    ):
        make()(signal(n_chans=5))
    with pytest.raises(CheckpointError, match="No encoder is called 'nobody'"):
        make(encoder="nobody")
    config = make().get_config()
    load_encoder("tiny", weights="random", seed=9).save_pretrained(tmp_path / "other")
    with pytest.raises(CheckpointError, match="The configuration is of encoder"):
        model_class.from_config({**config, "encoder": str(tmp_path / "other")})


class TestCheckpoint:
    @pytest.fixture
    def saved(self, make, tmp_path, chs_info):
        """A model, and the folder that it was saved to."""
        model = make(chs_info=chs_info).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01)  # trained along
        model.save_pretrained(tmp_path / "saved")
        return model, tmp_path / "saved"

    def test_in_a_fresh_process_without_network_or_encoder(self, make, encoder, chs_info, tmp_path):
        """The folder is all that is needed."""
        source = tmp_path / "encoder"
        encoder.save_pretrained(source)
        model = make(encoder=str(source), chs_info=chs_info).eval()
        model.save_pretrained(tmp_path / "saved")
        for file in source.iterdir():
            file.unlink()
        torch.save((signal(), model(signal()).detach()), tmp_path / "expected.pt")
        code = (
            "import torch; from eegfoundation.integrations.braindecode import EEGFoundation\n"
            "x, y = torch.load('expected.pt'); model = EEGFoundation.from_pretrained('saved')\n"
            "torch.testing.assert_close(model(x), y); assert not model.training"
        )
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def test_other_data(self, model_class, saved):
        """Another length, rate or number of outputs: the encoder stays; other channels say so."""
        model, folder = saved
        same = model_class.from_pretrained(folder)
        assert json.dumps(same.get_config()) == json.dumps(model.get_config())  # with NaN in places
        assert [ch["ch_name"] for ch in same.chs_info] == NAMES
        other = model_class.from_pretrained(
            folder, n_outputs=5, input_window_seconds=3.0, sfreq=128.0
        )
        assert other(signal(n_times=384)).shape == (3, 5)
        assert other.n_times == 384
        with pytest.warns(UntrainedWeightsWarning, match="made for other channels than these 3"):
            few = model_class.from_pretrained(folder, n_chans=3)
        for name, value in few.encoder.state_dict().items():
            assert torch.equal(value, model.encoder.state_dict()[name])
        assert few(signal(n_chans=3)).shape == (3, 2)

    def test_nothing_is_filled_in(self, model_class, saved):
        from safetensors.torch import load_file, save_file

        _, folder = saved
        path = folder / "model.safetensors"
        weights = load_file(path)
        name = "encoder.layers.0.attention.q_proj.weight"
        for damage, message in (
            ({k: v for k, v in weights.items() if k != name}, rf"missing \['{name}'\]"),
            ({**weights, "more": weights[name].clone()}, r"unexpected \['more'\]"),
            ({**weights, name: weights[name][:3].clone()}, rf"of another shape \['{name}'\]"),
        ):
            save_file(damage, path)
            with pytest.raises(CheckpointError, match=message):
                model_class.from_pretrained(folder)
        path.write_bytes(b"nothing")
        with pytest.raises(CheckpointError, match="is damaged"):
            model_class.from_pretrained(folder)
        path.unlink()
        with pytest.raises(CheckpointError, match=r"holds no model\.safetensors"):
            model_class.from_pretrained(folder)
        (folder / "config.json").unlink()
        with pytest.raises(CheckpointError, match=r"has no config\.json of EEGFoundation"):
            model_class.from_pretrained(folder, **SHAPE, n_chans=7)


class TestTraining:
    @pytest.mark.parametrize("how", ["full", "frozen", "lora"])
    @READOUTS
    def test_gradients(self, make, how, readout):
        model = make(readout=readout)
        if how == "frozen":
            model.encoder.requires_grad_(False)
        if how == "lora":
            from peft import LoraConfig, get_peft_model

            targets = ["q_proj", "k_proj", "v_proj", "out_proj"]
            model = get_peft_model(
                model, LoraConfig(target_modules=targets, modules_to_save=["final_layer"])
            )
        before = {name: value.clone() for name, value in model.state_dict().items()}
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
        x, y = signal(8), torch.arange(8) % 2
        model.train()
        for _ in range(2):  # LoRA's first factor moves from the second step on
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
        assert all(("encoder." in name) <= (how != "frozen") for name in changed)
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        assert any("final_layer" in name for name in changed)
        assert trained - changed <= {n for n in trained if "word_embeddings" in n or "unknown" in n}
        if how == "lora":
            model.eval()
            torch.testing.assert_close(model.merge_and_unload()(x), model(x), atol=1e-4, rtol=1e-3)

    def test_windows_under_the_classifier(self, model_class, encoder_folder, make_windows):
        """Windows tell their shape and classes; rate and channels have to be told."""
        from braindecode import EEGClassifier
        from skorch.callbacks import Freezer
        from skorch.helper import predefined_split

        windows = make_windows(3)
        parts = windows.split("subject")
        classifier = EEGClassifier(
            model_class,
            module__encoder=str(encoder_folder),
            module__sfreq=SFREQ,
            module__chs_info=windows.datasets[0].raw.info["chs"],
            callbacks=[Freezer("encoder*")],
            optimizer=torch.optim.AdamW,
            lr=3e-3,
            max_epochs=8,
            batch_size=8,
            classes=[0, 1],
            train_split=predefined_split(parts["P1"]),
            verbose=0,
        )
        classifier.fit(parts["P0"], y=None)
        module = classifier.module_
        assert (module.n_chans, module.n_times, module.sfreq, module.n_outputs) == (7, 1000, 500, 2)
        assert module.positions.isfinite().all()
        assert not any(p.requires_grad for p in module.encoder.parameters())
        y = [parts["P2"][i][1] for i in range(len(parts["P2"]))]
        assert (classifier.predict(parts["P2"]) == y).mean() > 0.9
        assert classifier.history[-1]["valid_acc"] > 0.9

    def test_arrays_and_epochs_under_the_classifier(
        self, model_class, encoder_folder, make_windows
    ):
        """Arrays do not tell their rate; epochs tell all, and braindecode makes them microvolts."""
        from braindecode import EEGClassifier

        from eegfoundation.integrations.braindecode_windows import windows_to_epochs

        windows = make_windows(1)
        x = np.stack([windows[i][0] for i in range(len(windows))])
        y = np.array([windows[i][1] for i in range(len(windows))])
        settings = {
            "module__encoder": str(encoder_folder),
            "max_epochs": 2,
            "train_split": None,
            "verbose": 0,
        }
        with pytest.raises(ConfigError, match="module__sfreq"):
            EEGClassifier(model_class, **settings).fit(x, y)
        arrays = EEGClassifier(
            model_class, module__sfreq=SFREQ, module__readout="fusion", **settings
        )
        assert arrays.fit(x, y).predict_proba(x).shape == (len(x), 2)
        epochs = windows_to_epochs(windows)
        trained = EEGClassifier(model_class, **settings).fit(epochs, y)
        assert trained.module_.positions.isfinite().all()


class TestWindowsForOurEstimators:
    def test_epochs_from_windows(self, make_windows, encoder):
        from eegfoundation.integrations.braindecode_windows import windows_to_epochs

        windows = make_windows(2)
        epochs = windows_to_epochs(windows)
        np.testing.assert_allclose(epochs.get_data()[5] * 1e6, windows[5][0], rtol=1e-5)
        assert set(epochs.metadata["subject"]) == {"P0", "P1"}
        in_volts = windows_to_epochs(make_windows(2, scale=1.0), units="V")
        np.testing.assert_allclose(in_volts.get_data(), epochs.get_data(), rtol=1e-5)
        assert epochs.info["chs"][1]["loc"][:3].any()
        y = epochs.metadata["target"].to_numpy()
        first = np.flatnonzero(epochs.metadata["subject"] == "P0")
        second = np.flatnonzero(epochs.metadata["subject"] == "P1")
        probe = EEGFoundationClassifier(encoder).fit(epochs[first], y[first])
        assert probe.score(epochs[second], y[second]) > 0.9

    def test_mistakes(self, make_windows):
        from braindecode.datasets import BaseConcatDataset, RawDataset

        from eegfoundation.integrations.braindecode_windows import windows_to_epochs

        one, other = make_windows(1).datasets[0], make_windows(1).datasets[0]
        other.raw.rename_channels({"Fz": "Fpz"})
        with pytest.raises(ModelInputError, match="recordings differ in channels"):
            windows_to_epochs(BaseConcatDataset([one, other]))
        with pytest.raises(ModelInputError, match="BaseConcatDataset holds no windows"):
            windows_to_epochs(BaseConcatDataset([RawDataset(one.raw, {})]))
        with pytest.raises(ConfigError, match="units='volts'"):
            windows_to_epochs(make_windows(1), units="volts")


def test_absence_is_said_and_nothing_imports_it():
    code = (
        "import sys; sys.modules['braindecode'] = None\n"
        "import eegfoundation, eegfoundation.models, eegfoundation.integrations.moabb\n"
        "try: import eegfoundation.integrations.braindecode\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("braindecode is not installed; install it into")


def test_the_page_works(model_class, tmp_path, monkeypatch):
    """docs/braindecode.md: its blocks are one script."""
    page = (Path(__file__).parents[2] / "docs" / "braindecode.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(compile(script, "braindecode.md", "exec"), names)
    assert names["features"].shape == (1, 22, 512)
    assert names["same"](names["x"]).shape == (1, 4)
    assert names["adapted"](names["x"]).shape == (1, 2)
    assert names["probe"].score(names["epochs"], names["epochs"].metadata["target"]) > 0.5
