"""The command: what it writes, that it is exact, and what it refuses."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from pretraining_helpers import PLAIN_ENVIRONMENT, flags
from safetensors.torch import load_file

from eegfoundation.errors import RecordingError
from eegfoundation.models import EEGFoundationForMaskedLM, load_encoder
from eegfoundation.pretraining.run import pretrain

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture
def settings(corpus, tmp_path):
    return {
        "corpus": str(corpus),
        "out": str(tmp_path / "run"),
        "size": "tiny",
        "steps": 8,
        "batch_size": 8,
        "learning_rate": 2e-3,
        "save_steps": 4,
        "log_steps": 2,
    }


def metrics(out):
    """Columns of metrics.csv."""
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def weights_of(out):
    return (out / "encoder" / "model.safetensors").read_bytes()


# ---- what it writes -----------------------------------------------------------------------------


def test_a_run_as_a_process(settings, corpus, tmp_path, in_process_of_its_own):
    done = in_process_of_its_own(**settings)
    out = tmp_path / "run"
    assert {path.name for path in out.iterdir()} == {
        *("run.json", "metrics.csv", "curves.png", "encoder", "checkpoint-4", "checkpoint-8"),
    }
    assert done.stdout.splitlines()[-1] == (
        f"{out / 'encoder'}: trained on 180 channel windows; curves in {out / 'curves.png'}"
    )
    assert "tokens_per_second" in done.stdout
    assert done.stderr == ""  # no bar where there is no terminal, no warnings

    run = json.loads((out / "run.json").read_text())
    assert {**run["settings"], **settings} == run["settings"]
    assert run["corpus_hash"] == json.loads((corpus / "corpus.json").read_text())["hash"]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")

    columns = metrics(out)
    assert columns["step"].tolist() == [2, 4, 6, 8]
    assert {"loss", "token_loss", "token_accuracy", "spectrum_loss", "window_loss"} < set(columns)
    assert all(np.isfinite(values).all() for values in columns.values())
    assert columns["loss"][-1] < columns["loss"][0]

    listed = json.loads((out / "encoder" / "training_data.json").read_text())
    with (corpus / "index.csv").open(newline="") as file:
        names = [row["recording"] for row in csv.DictReader(file)]
    assert [entry["recording"] for entry in listed["recordings"]] == names
    shipped = (out / "encoder" / "run.json").read_text()
    assert str(tmp_path) not in shipped
    assert str(corpus) not in shipped

    encoder = load_encoder(out / "encoder")  # an UntrainedWeightsWarning would be an error here
    assert encoder.embed_signal(torch.randn(2, 3, 400) * 20).isfinite().all()
    assert encoder.config.trained
    EEGFoundationForMaskedLM.from_pretrained(out / "encoder")


def test_the_learning_rate_is_that_of_the_published_recipe(settings, tmp_path):
    """1% warm-up, then linearly to 2%."""
    pretrain(**{**settings, "steps": 200, "batch_size": 1, "save_steps": 200, "log_steps": 1})
    rate = metrics(tmp_path / "run")["learning_rate"] / settings["learning_rate"]
    assert rate[:3] == pytest.approx([0.02, 0.02 + 0.98 / 2, 1.0])  # 2 of 200 steps
    assert np.diff(rate[2:]) == pytest.approx(-0.98 / 198)
    assert rate[-1] == pytest.approx(0.02 + 0.98 / 198)  # and 2% in the step after


def test_an_optimizer_as_published(settings, tmp_path):
    pretrain(**{**settings, "steps": 4, "weight_decay": 1e-5})
    state = torch.load(tmp_path / "run/checkpoint-4/optimizer.pt", weights_only=True)
    groups = state["param_groups"]
    for group in groups:
        assert tuple(group["betas"]) == (0.9, 0.98)
        assert group["eps"] == 1e-6
    assert [group["weight_decay"] for group in groups] == [1e-5, 0.0]
    names = [name for name in load_file(tmp_path / "run/checkpoint-4/model.safetensors")]
    matrices = [n for n in names if n.endswith("weight") and "norm" not in n]
    assert len(groups[0]["params"]) == len(matrices)


def test_gradients_are_clipped_at_two(settings, tmp_path, monkeypatch):
    from transformers import Trainer

    norms = []
    step = Trainer._clip_grad_norm

    def clip(self, model):
        found = step(self, model)
        norms.append(torch.nn.utils.get_total_norm(p.grad for p in model.parameters()).item())
        return found

    monkeypatch.setattr(Trainer, "_clip_grad_norm", clip)
    pretrain(**{**settings, "steps": 4, "log_steps": 1})
    before = metrics(tmp_path / "run")["grad_norm"]
    assert before.min() > 2
    assert norms == pytest.approx([2.0] * 4, rel=1e-3)


def test_fewer_steps_than_between_two_log_lines(settings, tmp_path):
    pretrain(**{**settings, "steps": 1, "log_steps": 25})
    assert metrics(tmp_path / "run")["step"].tolist() == [1]


def test_the_encoder_carries_the_preprocessing_of_its_corpus(settings, make_corpus, tmp_path):
    """What it is given later has to look as what it was trained on."""
    corpus = make_corpus(sfreq=150.0, highpass=1.0, lowpass=40.0, notch=60.0, reference="average")
    pretrain(**{**settings, "corpus": str(corpus), "steps": 2})
    preprocessing = load_encoder(tmp_path / "run/encoder").preprocessing
    assert (preprocessing.sfreq, preprocessing.highpass, preprocessing.lowpass) == (150, 1, 40)
    assert preprocessing.reference == "average"
    # mains and artefacts are found anew in every recording
    assert (preprocessing.notch, preprocessing.artefact_uv) == ("auto", 500)


def test_a_model_from_a_configuration(settings, with_dropout, tmp_path):
    del settings["size"]
    pretrain(**settings, model_config=str(with_dropout))
    config = load_encoder(tmp_path / "run/encoder").config
    assert (config.hidden_size, config.hidden_dropout_prob) == (64, 0.1)


# ---- exactness ----------------------------------------------------------------------------------


def kill_at_random(settings, out, rng, save_steps, steps):
    """Start the command, and SIGKILL it at some moment after some checkpoint began."""
    after = out / f"checkpoint-{rng.randrange(save_steps, steps // 2, save_steps)}"
    process = subprocess.Popen(
        [sys.executable, "-m", "eegfoundation.cli", "pretrain", *flags(settings)],
        env=PLAIN_ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not after.exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.2))
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # loader processes too
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "encoder").exists(), "it was through before it was killed"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("bf16", "workers", "n_kills"),
    [
        (False, 0, 1),
        pytest.param(True, 1, 3, marks=pytest.mark.long),
        pytest.param(True, 0, 3, marks=pytest.mark.long),
        pytest.param(False, 1, 3, marks=pytest.mark.long),
        pytest.param(False, 0, 10, marks=pytest.mark.long),
    ],
)
def test_killed_and_resumed_is_uninterrupted(
    settings, with_dropout, tmp_path, bf16, workers, n_kills
):
    """Dropout, order, masks, optimizer and schedule go on as if nothing had been."""
    del settings["size"]
    settings |= {"model_config": str(with_dropout)}
    settings |= {"steps": 150, "save_steps": 10, "log_steps": 10, "bf16": bf16, "workers": workers}
    rng = random.Random()
    pretrain(**settings)
    expected, curve = weights_of(tmp_path / "run"), metrics(tmp_path / "run")
    del curve["tokens_per_second"]
    for number in range(n_kills):
        out = tmp_path / f"killed_{number}"
        kill_at_random({**settings, "out": out}, out, rng, save_steps=10, steps=150)
        # the number of workers may change: it does not show
        pretrain(**{**settings, "out": str(out), "workers": rng.choice([0, workers])})
        assert weights_of(out) == expected
        resumed = metrics(out)
        for name, values in curve.items():
            np.testing.assert_array_equal(resumed[name], values)


@pytest.mark.parametrize("torn", ["trainer_state.json", "half a state", "optimizer.pt", "folder"])
def test_killed_while_a_checkpoint_was_written(settings, tmp_path, torn):
    pretrain(**settings)
    out = tmp_path / "run"
    expected = weights_of(out)
    shutil.rmtree(out / "encoder")
    last = out / "checkpoint-8"
    (last / "SHA256SUMS").unlink()  # of all its files, that comes last
    state = last / "trainer_state.json"
    if torn == "half a state":
        state.write_text(state.read_text()[:100])
    elif torn == "folder":
        shutil.rmtree(last)
        last.mkdir()
    else:
        state.unlink()
        if torn == "optimizer.pt":
            (last / torn).write_bytes((last / torn).read_bytes()[:1000])
    pretrain(**settings)
    assert weights_of(out) == expected


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_flipped_bit_in_a_checkpoint_is_found(settings, tmp_path, name):
    pretrain(**settings)
    out = tmp_path / "run"
    expected = weights_of(out)
    shutil.rmtree(out / "encoder")
    path = out / "checkpoint-8" / name
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=rf"checkpoint-8 is damaged and was removed \({name}"):
        pretrain(**settings)
    assert weights_of(out) == expected


def test_a_flipped_bit_in_the_corpus_is_found_before_it_is_used(settings, corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "corpus")
    shard = next((tmp_path / "corpus").rglob("*.npy"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(RecordingError, match=rf"{shard.name} is missing or damaged"):
        pretrain(**{**settings, "corpus": str(tmp_path / "corpus")})
    assert not (tmp_path / "run").exists()


def test_a_finished_run_stays_as_it_is(settings, tmp_path):
    """Also where the corpus has more windows than the run needed."""
    pretrain(**settings)
    out = tmp_path / "run"
    expected, curve = weights_of(out), (out / "metrics.csv").read_bytes()
    shutil.rmtree(out / "encoder")  # killed while it was written
    pretrain(**settings)
    assert weights_of(out) == expected
    assert (out / "metrics.csv").read_bytes() == curve
    assert (out / "encoder" / "training_data.json").exists()


def test_seeds_differ_and_nothing_else_does(settings, tmp_path):
    out = tmp_path / "run"
    results = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(99)  # whatever the state before
        pretrain(**{**settings, "out": str(out / name), "seed": seed})
        results.append(weights_of(out / name))
    assert results[0] == results[1]
    assert results[0] != results[2]


def same_losses(a, b):
    for name in ("loss", "token_loss", "spectrum_loss", "window_loss"):
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=1e-5, err_msg=name)


@pytest.fixture
def comparable(settings, patchy_corpus):
    """Twenty steps of eight windows, which are usable to different degrees.

    Without dropout, as the size tiny is: it would depend on the number of processes.
    """
    return settings | {
        "corpus": str(patchy_corpus),
        "steps": 20,
        "log_steps": 1,
        "save_steps": 10,
        "bf16": False,
    }


def test_accumulated_batches_are_one_batch(comparable, tmp_path):
    for name, batch_size, accumulation in (("one", 8, 1), ("four", 2, 4)):
        pretrain(
            **{**comparable, "out": str(tmp_path / name), "batch_size": batch_size},
            gradient_accumulation=accumulation,
        )
    one, four = metrics(tmp_path / "one"), metrics(tmp_path / "four")
    assert len(one["loss"]) == 20
    same_losses(one, four)


def test_two_processes_are_one(comparable, tmp_path, in_process_of_its_own):
    """Under torchrun (gloo), at the same global batch; and they resume together only."""
    pretrain(**{**comparable, "out": str(tmp_path / "one")})
    two = {**comparable, "out": tmp_path / "two", "batch_size": 4}
    in_process_of_its_own(*TORCHRUN, "-m", "eegfoundation.cli", **two)
    one = metrics(tmp_path / "one")
    assert len(one["loss"]) == 20
    same_losses(one, metrics(tmp_path / "two"))
    a, b = (load_file(tmp_path / n / "encoder/model.safetensors") for n in ("one", "two"))
    for name, value in a.items():
        assert (value - b[name]).abs().max() < 1e-4, name
    rates = sorted(path.name for path in (tmp_path / "two/checkpoint-20").glob("rng_state*"))
    assert rates == ["rng_state_0.pth", "rng_state_1.pth"]
    assert json.loads((tmp_path / "two/run.json").read_text())["processes"] == 2


@pytest.mark.long
def test_sharded_over_two_processes_and_loaded_in_one(
    comparable, tmp_path, in_process_of_its_own, request
):
    """FSDP2, as configured by accelerate; the resumed run ends with the same bytes."""
    pretrain(**{**comparable, "out": str(tmp_path / "one")})
    launcher = str(request.path.parent / "fsdp_on_cpu.py")
    environment = {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    }
    out = tmp_path / "sharded"
    sharded = {**comparable, "out": out, "batch_size": 4}
    in_process_of_its_own(*TORCHRUN, launcher, environment=environment, **sharded)
    assert (out / "checkpoint-20" / "pytorch_model_fsdp.bin").exists()  # it was FSDP indeed
    one, expected = metrics(tmp_path / "one"), weights_of(out)
    same_losses(one, metrics(out))
    encoder, other = load_encoder(out / "encoder"), load_encoder(tmp_path / "one/encoder")
    x = torch.randn(1, 2, 400, generator=torch.Generator().manual_seed(0)) * 20
    assert (encoder.embed_signal(x) - other.embed_signal(x)).abs().max() < 1e-3

    shutil.rmtree(out / "encoder")
    shutil.rmtree(out / "checkpoint-20")
    in_process_of_its_own(*TORCHRUN, launcher, environment=environment, **sharded)
    assert weights_of(out) == expected


# ---- what it refuses ----------------------------------------------------------------------------


WRONG = {
    "steps": (0, "steps=0; it must be at least 1."),
    "batch_size": (0, "batch_size=0; it must be at least 1."),
    "gradient_accumulation": (-1, "gradient_accumulation=-1; it must be at least 1."),
    "mask_span": (0, "mask_span=0"),
    "save_steps": (0, "save_steps=0"),
    "log_steps": (0, "log_steps=0"),
    "mask_ratio": (1.5, "mask_ratio=1.5; it must lie between 0 and 1."),
    "warmup": (".nan", "warmup=nan"),
    "learning_rate": (".nan", "learning_rate=nan; it must be 0 or more."),
    "weight_decay": (-1, "weight_decay=-1.0"),
    "workers": (-1, "workers=-1"),
    "seed": (2**32, "seed=4294967296; it must lie between 0 and"),
    "report_to": ("the_moon", "report_to='the_moon'; choose 'none' or 'tensorboard'."),
    "size": ("huge", "size='huge' is unknown; choose one of"),
    "model_config": ("nowhere.json", "Configuration nowhere.json not found; check the path."),
    "corpus": ("nowhere", "nowhere holds no finished corpus"),
    "token_stride": (0, "token_stride=0; it must be at least 1."),
    "steps, too many": (10**30, "it must be at most 1000000000000."),
    "token_stride, too long": (10**30, "no position has so many tokens"),
    "token_weight": (-1, "token_weight=-1.0; it must be >= 0."),
    "ordinal_sigma": (-1, "ordinal_sigma=-1.0; it must be >= 0."),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_one_sentence(settings, command, tmp_path, name):
    value, expected = WRONG[name]
    code, out, err = command("pretrain", *flags({**settings, name.partition(",")[0]: value}))
    assert (code, out, len(err)) == (2, [], 1)
    assert err[0].startswith("eegfoundation: ")
    assert expected in err[0]
    assert not (tmp_path / "run").exists()


def test_a_batch_beyond_the_corpus_is_one_sentence(settings, command, tmp_path):
    code, out, err = command("pretrain", *flags({**settings, "batch_size": 2**31}))
    assert (code, out, len(err)) == (2, [], 1)
    assert "batch_size=2147483648 is more than the corpus has windows, " in err[0]
    assert not (tmp_path / "run").exists()


def test_tensorboard_is_an_extra(settings, command, monkeypatch):
    monkeypatch.setattr("eegfoundation.pretraining.run.find_spec", lambda _: None)
    code, _, err = command("pretrain", *flags({**settings, "report_to": "tensorboard"}))
    assert (code, err) == (
        2,
        ["eegfoundation: TensorBoard is absent: pip install 'eegfoundation[tensorboard]'."],
    )


def test_changed_settings_are_refused_in_one_sentence(
    settings, command, make_corpus, tmp_path, capfd
):
    pretrain(**settings)
    expected = weights_of(tmp_path / "run")
    other = make_corpus(seed=7)
    capfd.readouterr()
    for change, named in (
        ({"learning_rate": 1e-3}, "['learning_rate']"),
        ({"steps": 16, "seed": 1}, "['steps', 'seed']"),
        ({"corpus": other}, "['corpus']"),
        ({"size": "small"}, "['size', 'model']"),
    ):
        code, out, err = command("pretrain", *flags({**settings, **change}))
        assert (code, out) == (2, [])
        assert err == [
            f"eegfoundation: {tmp_path / 'run'} holds a run with other values of {named}; continue "
            "it with the same values or choose another folder."
        ]
    assert weights_of(tmp_path / "run") == expected


@pytest.mark.parametrize(
    ("of_corpus", "expected"),
    [
        ({"window": 1.9}, "windows of 380 samples; a multiple of tokens_per_position=25"),
        ({"window": 0.5}, "windows of 0.5 s; spectral targets need at least 1 s"),
        ({"sfreq": 75.0, "lowpass": 30.0}, "Spectral targets reach 70 Hz, too much for signals"),
    ],
)
def test_corpora_that_do_not_suit(
    settings, command, make_corpus, tmp_path, capfd, of_corpus, expected
):
    corpus = make_corpus(**of_corpus)
    capfd.readouterr()
    code, out, err = command("pretrain", *flags({**settings, "corpus": corpus}))
    assert (code, out, len(err)) == (2, [], 1)
    assert expected in err[0]
    assert not (tmp_path / "run").exists()
