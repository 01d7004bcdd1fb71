"""The figures of docs/scaling.md: formulae against counts, and short runs that can be restarted."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import scaling
import torch

from eegfoundation.cli import build_parser
from eegfoundation.corpus.builder import build_corpus
from eegfoundation.corpus.reader import Corpus
from eegfoundation.models import SIZES, EEGFoundationConfig

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ("eegfoundation", "eegfoundation.cli")
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six people of 21 s and two channels: 24 windows of 10 s."""
    folder = tmp_path_factory.mktemp("scaling")
    (folder / "set").mkdir()
    for i in range(6):
        x = np.random.default_rng(i).normal(0, 20, (2, 21 * 200))
        np.savez(
            folder / "set" / f"r{i}.npz",
            x=np.rint(x / 0.05).astype(np.int16),
            scale_uv=np.full(2, 0.05, np.float32),
            ch_names=np.array(["C3", "C4"]),
            sfreq=200.0,
            meta=json.dumps({"subject": f"S{i}"}),
        )
    out = folder / "corpus"
    build_corpus([str(folder / "set")], str(out), layout="compact", workers=0)
    return out


@pytest.mark.parametrize("size", ["tiny", "published_in_short"])
@pytest.mark.parametrize("recipe", ["small", "tueg"])
def test_the_formula_counts_what_pytorch_counts(size, recipe):
    """Both count matrix products only, so they are equal.

    What training does beside them (norms, activations, softmax, the targets' Fourier transform) is
    a few percent of the arithmetic and neither's business.
    """
    short = {**SIZES["published"], "num_hidden_layers": 1, "hidden_size": 64, "embedding_size": 32}
    config = EEGFoundationConfig(**{**SIZES, "published_in_short": short}[size])
    recipe = scaling.read_recipe(recipe)
    model = scaling.make_model(config, recipe)
    masker = scaling.make_masker(scaling.N_TIMES // config.tokens_per_position, recipe)
    batch = scaling.noise_batch(masker, 1, "cpu")
    n_masked = int(batch["masked"].sum())
    formula = scaling.multiply_adds(config, model.objective, scaling.N_TIMES, n_masked)
    assert formula == scaling.counted_multiply_adds(model, batch)


def test_bytes_per_channel_hour_are_those_of_a_real_corpus(corpus):
    shards = list(corpus.glob("shards/*/*.npy"))
    headers = 0
    for path in shards:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            headers += file.tell()
    n_bytes = sum(path.stat().st_size for path in shards) - headers
    hours = len(Corpus(corpus)) * 10 / 3600
    assert scaling.bytes_per_channel_hour() * hours == pytest.approx(n_bytes, rel=1e-12)
    assert headers / len(shards) <= 256  # a recording's; less than a sixteenth of one window


def test_smaller_shares_lie_within_larger_ones_and_no_subject_is_on_both_sides():
    people = [f"a/{i}" for i in range(20)] + [f"b/{i}" for i in range(5)] + ["c/0"]
    training, held_out = scaling.split_subjects(people * 3)  # several recordings of each
    assert sorted(training + held_out) == sorted(people)
    assert [name[0] for name in held_out] == list("aaaab")  # a fifth of each source
    shares = [scaling.first_share(training, share) for share in scaling.SHARES]
    assert [len(share) for share in shares] == [2, 7, 21]
    assert shares[0] == shares[1][:2]
    assert shares[1] == shares[2][:7]
    assert {name[0] for name in shares[1]} >= {"a", "b"}
    assert scaling.split_subjects(people) == (training, held_out)


def test_points_are_made_once(corpus, tmp_path, monkeypatch, capsys):
    models = {name: {**SIZES["tiny"], "num_hidden_layers": n} for name, n in (("1", 1), ("2", 2))}
    first = scaling.run_losses(corpus, tmp_path, 2, models)
    names = {f"{model}-{share}.json" for model in "12" for share in ("0.11", "0.33", "1.00")}
    assert {path.name for path in tmp_path.glob("*.json")} == names
    assert (tmp_path / "loss_by_size_and_data.png").read_bytes()[:4] == b"\x89PNG"
    assert [point["subjects"] for point in first] == [1, 2, 5] * 2
    assert first[0]["channel_hours"] == pytest.approx(4 * 10 / 3600)
    assert all(0 < point["loss"] < 100 for point in first)
    assert len({point["loss"] for point in first}) == len(first)
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["points"]) == len(first)

    # Killed after five of six: only what is missing is made, and it is what it was.
    (tmp_path / "2-0.33.json").unlink()
    train, made = scaling.train_point, []
    monkeypatch.setattr(scaling, "train_point", lambda *a: made.append(a[2]) or train(*a))
    assert scaling.run_losses(corpus, tmp_path, 2, models) == first
    assert [len(subjects) for subjects in made] == [2]
    with pytest.raises(SystemExit, match="other settings"):
        scaling.run_losses(corpus, tmp_path, 3, models)


def test_the_cost_of_a_size_is_printed_and_measured(monkeypatch, capsys):
    monkeypatch.setitem(scaling.BATCH_SIZES["cpu"], "tiny", 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    scaling.run_costs(["tiny"], measure=True)
    *_, last = capsys.readouterr().out.splitlines()
    (row,) = json.loads(last)["rows"]
    # 513,000 channel-hours at so many tokens per second
    days = 513_000 * 720_000 / row["tokens_per_s"] / 86400
    assert row["days_of_a_pass"] == pytest.approx(days)
    per_token = row["flops_of_a_pass"] / (513_000 * 720_000)
    assert row["tflops"] == pytest.approx(per_token * row["tokens_per_s"] / 1e12)


def commands_of_the_page(word):
    """Lines of shell in docs/scaling.md with a word in them, each as a list of words."""
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if word in line]
    return [shlex.split(line, comments=True) for line in lines]


def test_commands_within_others_are_right_too(monkeypatch):
    """Those under torchrun or srun; tests/test_readme.py has the plain ones."""
    monkeypatch.chdir(ROOT)  # recipes are named as seen from there
    commands = commands_of_the_page("eegfoundation")
    assert {words[0] for words in commands} >= {"srun", "torchrun", "eegfoundation"}
    for words in commands:
        name, *args = words[words.index(next(w for w in words if w in PROGRAM)) + 1 :]
        assert build_parser().parse_args([name, *args]).command == name


def test_the_benchmark_takes_what_the_page_says(monkeypatch):
    called = []
    monkeypatch.setattr(scaling, "run_costs", lambda *a, **k: called.append("cost"))
    monkeypatch.setattr(scaling, "run_losses", lambda *a: called.append("loss"))
    for _python, *words in commands_of_the_page("benchmarks/scaling.py"):
        monkeypatch.setattr(sys, "argv", words)
        scaling.main()
    assert {"cost", "loss"} == set(called)
