"""Every command that writes, killed at random moments: nothing half is taken for whole.

The same command, run again, ends with the bytes of a run that nobody disturbed. Not compared are
clocks (`latency_ms` of a stream, `tokens_per_second` of a pretraining) and what a training keeps
only to resume from.
"""

import functools
import itertools
import random
import shutil
import sys

import pytest

from eegfoundation.cli import COMMANDS
from power_cuts import Launcher, contents, without_columns, without_keys

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and a fork server")

LATENCY = {"mean_latency_ms", "max_latency_ms", "latency_ms"}


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    return Launcher(tmp_path_factory.mktemp("launcher"))


def quicker(folder):
    """In the process of a command: few candidates for baselines, and for the demo a small model."""
    import eegfoundation
    from eegfoundation import prediction, probe
    from eegfoundation.models import registry

    probe.PENALTIES = (0.1, 1.0)
    load_encoder, load_classifier = eegfoundation.load_encoder, prediction.load_classifier
    classifier = str(folder / "a.pth"), str(folder / "a.json")
    eegfoundation.load_encoder = lambda name: load_encoder(folder / "encoder")
    prediction.load_classifier = lambda *names: load_classifier(*(names or classifier))
    shipped_path = registry.shipped_path

    def short(name):
        return folder / "study" / "p0.edf" if name.endswith(".edf") else shipped_path(name)

    registry.shipped_path = short


def commands(given, out):
    """Arguments of every command that writes, and where it does."""
    edfs = [given / "study" / f"p{i}.edf" for i in range(3)]
    classifier = ("--classifier", given / "a.pth", "--classifier_config", given / "a.json")
    table = ("--task", given / "study" / "own.csv", "--model", given / "encoder", "--window", 2)
    return {
        "embed": [*edfs, "--out", out, "--model", given / "encoder", "--window", 2],
        "predict": [*edfs, "--out", out, *classifier],
        "tokenize": [*edfs, "--out", out],
        "build-corpus": [given / "study", "--out", out, "--workers", 0, "--window", 2],
        "pretrain": [
            *("--corpus", given / "corpus", "--out", out, "--size", "tiny", "--steps", 6),
            *("--batch_size", 4, "--save_steps", 2, "--log_steps", 1),
        ],
        "finetune": [*table, "--out", out, "--strategy", "head", "--epochs", 2],
        "evaluate": [
            *(*table, "--out", out, "--protocol", "kfold", "--n_splits", 2, "--seeds", 1),
            *("--alignments", "[none]"),
        ],
        "convert": [given / "a.pth", "--classifier_config", given / "a.json", "--out", out],
        "report": [
            *(edfs[0], "--out", out / "a.html", "--model", given / "encoder", "--window", 2),
            *("--classes", "false"),
        ],
        "export": [given / "encoder", "--format", "torch", "--out", out / "a.pt2"],
        "stream": [
            *(given / "a.pth", "--classifier_config", given / "a.json", "--replay", edfs[0]),
            *("--speed", 0, "--every", 0.5, "--out", out / "a.csv"),
        ],
        "demo": ["--out", out],
    }


#: What to take out of a file before two are compared.
CLOCKS = {
    "metrics.csv": without_columns("tokens_per_second"),
    "a.csv": without_columns("latency_ms"),
    "a.preprocessing.json": without_keys(*LATENCY),
}
#: Files that say how far a run has come.
ACCOUNTS = {"finetune": {"run.json"}}


def results(folder):
    """What lies under final names, without clocks."""
    return {
        name: CLOCKS.get(name, bytes)(content)
        for name, content in contents(folder).items()
        if "unfinished" not in name and not name.startswith("checkpoint-")
    }


def check_whole(out, command, *possible):
    """Every file under a final name is one of the complete ones."""
    for name, content in results(out).items():
        if name not in ACCOUNTS.get(command, ()):
            assert content in [whole[name] for whole in possible], f"{name} is not whole"


class Killer:
    """Runs a command, and kills it at a random moment: in turn of its time, and of its files."""

    def __init__(self, launch, given, out, command):
        self.out = out
        self._turns = itertools.count()
        self._rng = random.Random(command)
        argv = [command, *commands(given, out)[command]]
        self._launch = functools.partial(launch, patch=functools.partial(quicker, given))
        self._argv = argv
        self._whole = self.run()

    def run(self, *more):
        ended = self._launch([*self._argv, *more], self.out)
        # a kill between the last rename and the end of the process comes too late to matter
        assert ended.code == 0 or "exists already" in ended.said, ended.said
        return ended

    def kill(self, *more):
        """Whether it was killed; else it was through before."""
        share = self._rng.random()
        if next(self._turns) % 2:
            moment = {"after": share * self._whole.seconds}
        else:
            moment = {"at_event": 1 + int(share * self._whole.n_events)}
        return self._launch([*self._argv, *more], self.out, **moment).code is None


@pytest.mark.parametrize("n_kills", [2, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"info"}))
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    launch, given, tmp_path, command, n_kills
):
    killer = Killer(launch, given, tmp_path / "out", command)
    whole = results(killer.out)
    assert whole
    shutil.rmtree(killer.out)
    left = n_kills
    while left:
        if killer.kill():
            left -= 1
            check_whole(killer.out, command, whole)
        else:  # what went on from an earlier kill had less to do than was thought
            shutil.rmtree(killer.out)
    killer.run()
    assert results(killer.out) == whole


@pytest.mark.parametrize(
    ("command", "n_kills"),
    [
        *[(name, 1) for name in ("convert", "embed", "stream")],
        *[
            pytest.param(name, 20, marks=pytest.mark.long)
            for name in ("convert", "embed", "evaluate", "export", "predict", "report", "stream")
        ],
    ],
)
def test_what_is_overwritten_stays_until_the_new_is_complete(
    launch, given, tmp_path, command, n_kills
):
    killer = Killer(launch, given, tmp_path / "out", command)
    whole = results(killer.out)
    complete = contents(killer.out)
    earlier = {name: content + b"\n" for name, content in complete.items()}
    left = n_kills
    while left:
        for name, content in earlier.items():
            (killer.out / name).write_bytes(content)
        before = results(killer.out)
        if killer.kill("--overwrite", "true"):
            left -= 1
            check_whole(killer.out, command, before, whole)
            if command != "convert":  # of its folder, one file is taken away first
                assert results(killer.out).keys() == whole.keys()
    killer.run("--overwrite", "true")
    assert results(killer.out) == whole
