"""Every way into the package that takes something from a user.

Those of Python behave as a user's script would: an error of ours is one sentence and exit code 2,
any other a traceback. Those of the command line are `eegfoundation.cli.main` with arguments.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from damages.files import compact, edf, signal

#: What a recording comes with, as options of a command.
Options = dict[str, Any]


@dataclass(frozen=True)
class Sound:
    """Sound things that damaged ones are combined with."""

    encoder: Path
    """Folder of an encoder."""
    classifier: Path
    """A .pth; its .json lies beside it."""
    recordings: tuple[Path, ...]
    corpus: Path
    compact: Path
    table: Path
    """Five people, two labels each."""
    pretraining: Path
    """Folder of a run that was interrupted."""
    finetuning: Path
    """The same; its scores are missing."""

    @property
    def classifier_flags(self) -> list[str]:
        """As on a command line."""
        config = self.classifier.with_suffix(".json")
        return ["--classifier", str(self.classifier), "--classifier_config", str(config)]


@dataclass(frozen=True)
class EntryPoint:
    """A way in."""

    name: str
    takes: str
    """Group of damages."""
    run: Callable[..., int]
    """Gets the damaged thing, the folder for outputs, and sound things; gives the exit code."""
    single: bool = True
    """Nothing but the damaged thing decides the outcome, so that what is expected of it holds."""
    quick: bool = False
    in_place: bool = False
    """It goes on in the folder that it gets."""


def make_sound(folder: Path) -> Sound:
    """A small encoder, a classifier that carries it, recordings and a corpus."""
    import numpy as np
    import torch

    from eegfoundation import load_encoder
    from eegfoundation.corpus.builder import build_corpus
    from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification
    from eegfoundation.models import save_downstream_model as save

    encoder = load_encoder("tiny", weights="random")
    encoder.config.trained = True
    encoder.save_pretrained(folder / "encoder")
    widths = ("d_model", "projection_embedding_dim", "classification_hidden_dim")
    config = DownstreamConfig(
        **dict.fromkeys(widths, 32),
        **{"seq_len": 400, "patch_size": 50, "stride": 50, "num_channel": 6},
        **{"embedding_dim": 128, "encoder_tuned": True, "trained": True},
    )
    torch.manual_seed(0)
    model = EEGFoundationForClassification(config)
    model.attach_encoder(encoder)
    save(model, folder / "classifier.pth", folder / "classifier.json")
    paths = tuple(
        edf(folder / "recordings" / f"sub-{i:02d}.edf", signal(seed=i)) for i in range(1, 6)
    )
    rows = [
        f"{path},P{i},{label},{start},{start + 6}"
        for i, path in enumerate(paths)
        for label, start in (("rest", 0), ("task", 6))
    ]
    table = folder / "table.csv"
    table.write_text("\n".join(["path,subject,label,start,stop", *rows]))
    compact(folder / "compact" / "r0.npz")
    other = np.rint(signal(seed=9) / 0.05).astype(np.int16)
    compact(folder / "compact" / "r1.npz", x=other)
    build_corpus(
        [str(folder / "compact")], str(folder / "corpus"), layout="compact", window=2.0, workers=0
    )
    sound = Sound(
        encoder=folder / "encoder",
        classifier=folder / "classifier.pth",
        recordings=paths,
        corpus=folder / "corpus",
        compact=folder / "compact",
        table=table,
        pretraining=folder / "pretraining",
        finetuning=folder / "finetuning",
    )
    _interrupted(sound)
    for path in folder.rglob("*"):  # for trials without rights as well
        path.chmod(0o755)
    return sound


def _interrupted(sound: Sound) -> None:
    """Begin the runs, and leave what a killed one leaves."""
    assert _pretrain_again(sound.pretraining, {}, sound.pretraining, sound) == 0
    for name in ("encoder", "checkpoint-4"):
        shutil.rmtree(sound.pretraining / name)
    for name in ("metrics.csv", "curves.png"):
        (sound.pretraining / name).unlink()
    assert _finetune_again(sound.finetuning, {}, sound.finetuning, sound) == 0
    run = json.loads((sound.finetuning / "run.json").read_text())
    shutil.rmtree(sound.finetuning)
    sound.finetuning.mkdir()
    run = {key: value for key, value in run.items() if key not in ("scores", "history")}
    (sound.finetuning / "run.json").write_text(json.dumps(run))


def command(*args: object) -> int:
    """`eegfoundation ...`."""
    from eegfoundation.cli import main

    return main([str(arg) for arg in args])


def script(work: Callable[[], Any]) -> int:
    """A script of a user who is told what our errors say."""
    from eegfoundation.errors import EEGFoundationError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            work()
        except EEGFoundationError as error:
            print(f"eegfoundation: {error}", file=sys.stderr)
            return 2
    return 0


# ---- recordings ---------------------------------------------------------------------------------


def _read(path: Path, options: Options) -> None:
    from eegfoundation import read_recording

    recording = read_recording(path, **options)
    length = recording.n_times if recording.n_epochs is None else recording.n_epochs
    step = max(1, length // 3)
    for start in range(0, length, step):
        recording.get_data(start, min(length, start + step))
    json.dumps(recording.history, allow_nan=False)


def _embed(path: Path, options: Options, sound: Sound) -> None:
    import eegfoundation

    found = eegfoundation.embed(path, sound.encoder, window=4.0, **options)
    found.pooled()
    found.to_dataframe()


def _estimate(path: Path, options: Options, sound: Sound) -> None:
    """What a scikit-learn user does: read, cut into windows, fit."""
    import numpy as np

    from eegfoundation import EEGFoundationClassifier, read_recording

    recording = read_recording(path, **options)
    x = recording.get_data()
    if x.ndim == 2:
        n = x.shape[1] // 8
        x = x[:, : 8 * n].reshape(len(x), 8, n).swapaxes(0, 1)
    y = np.arange(len(x)) % 2
    estimator = EEGFoundationClassifier(
        sound.encoder, sfreq=recording.sfreq, ch_names=recording.ch_names
    )
    estimator.fit(x, y).predict_proba(x)


def _predict(path: Path, options: Options, sound: Sound) -> None:
    from eegfoundation.models import load_downstream_model
    from eegfoundation.prediction import predict

    model = load_downstream_model(sound.classifier, sound.classifier.with_suffix(".json"))
    predict(path, model, **options)


def _flags(options: Options) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _table(path: Path, options: Options, out: Path, sound: Sound) -> Path:
    """Six people, two labels each; the sixth is the damaged one."""
    rows = []
    for i, recording in enumerate([*sound.recordings, path]):
        for label, start in (("rest", 0), ("task", 6)):
            rows.append((str(recording), f"P{i}", label, start, start + 6))
    table = out.parent / "table.csv"
    with table.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([("path", "subject", "label", "start", "stop"), *rows])
    return table


def _finetune(path: Path, options: Options, out: Path, sound: Sound) -> int:
    table = _table(path, options, out, sound)
    return command(
        *("finetune", "--task", table, "--out", out, "--model", sound.encoder, "--window", 2)
    )


EVALUATE = ("--protocol", "kfold", "--n_splits", 2, "--seeds", 1, "--alignments", "[none]")


def _evaluate(path: Path, options: Options, out: Path, sound: Sound) -> int:
    table = _table(path, options, out, sound)
    return command(
        *("evaluate", "--task", table, "--out", out, "--model", sound.encoder),
        *("--window", 2, *EVALUATE),
    )


EVENTS = "onset\tduration\ttrial_type\n1\t2\trest\n4\t2\ttask\n7\t2\trest\n9\t2\ttask\n"


def bids_folder(folder: Path, sound: Sound) -> Path:
    """Three sound people."""
    for recording in sound.recordings[:3]:
        place = folder / recording.stem / "eeg"
        place.mkdir(parents=True)
        shutil.copy(recording, place / f"{recording.stem}_task-x_eeg.edf")
        (place / f"{recording.stem}_task-x_events.tsv").write_text(EVENTS)
    return folder


def _evaluate_bids(path: Path, options: Options, out: Path, sound: Sound) -> int:
    (path.parent / "sub-00_task-x_events.tsv").write_text(EVENTS)
    bids = bids_folder(path.parents[2], sound)
    return command(
        *("evaluate", "--task", bids, "--out", out, "--model", sound.encoder),
        *("--window", 2, *EVALUATE),
    )


def _build(path: Path, options: Options, out: Path, sound: Sound) -> int:
    layout = "compact" if path.suffix == ".npz" else "folder"
    others = [sound.compact] if layout == "compact" else sound.recordings[:1]
    return command(
        *("build-corpus", *others, path, "--out", out, "--window", 2, "--workers", 0),
        *("--layout", layout),
    )


def _files(name: str, *more: Any) -> Callable[..., int]:
    def run(path: Path, options: Options, out: Path, sound: Sound) -> int:
        words = [flag(sound) if callable(flag) else [flag] for flag in more]
        flat = [word for part in words for word in part]
        return command(name, path, "--out", out, *flat, *_flags(options))

    return run


def _model(sound: Sound) -> list[str]:
    return ["--model", str(sound.encoder)]


RECORDINGS = [
    EntryPoint("read_recording", "recording", lambda p, o, out, s: script(lambda: _read(p, o)),
               quick=True),
    EntryPoint("embed()", "recording", lambda p, o, out, s: script(lambda: _embed(p, o, s))),
    EntryPoint("predict()", "recording", lambda p, o, out, s: script(lambda: _predict(p, o, s))),
    EntryPoint("EEGFoundationClassifier", "recording",
               lambda p, o, out, s: script(lambda: _estimate(p, o, s)), single=False),
    EntryPoint("embed", "recording", _files("embed", _model), quick=True),
    EntryPoint("predict", "recording", _files("predict", lambda s: s.classifier_flags), quick=True),
    EntryPoint("tokenize", "recording", _files("tokenize"), quick=True),
    EntryPoint("info", "recording",
               lambda p, o, out, s: command("info", p, *_flags(o)), quick=True),
    EntryPoint("report", "recording",
               lambda p, o, out, s: command("report", p, "--out", out / "page.html", *_model(s),
                                            *s.classifier_flags, *_flags(o))),
    EntryPoint("build-corpus", "recording", _build, single=False, quick=True),
    EntryPoint("finetune", "recording", _finetune, single=False),
    EntryPoint("evaluate (CSV)", "recording", _evaluate, single=False),
    EntryPoint("evaluate (BIDS)", "recording", _evaluate_bids, single=False),
]  # fmt: skip


# ---- checkpoints --------------------------------------------------------------------------------


def _encode(folder: Path, sound: Sound) -> None:
    """Load, and look whether what comes out are numbers."""
    import numpy as np

    import eegfoundation

    encoder = eegfoundation.load_encoder(folder)
    found = eegfoundation.embed(sound.recordings[0], encoder, window=4.0)
    assert np.isfinite(found.values).all(), "embeddings are not finite"


def _random_twin(folder: Path, sound: Sound) -> None:
    import eegfoundation

    eegfoundation.load_encoder(folder, weights="random")


def _classify(path: Path, sound: Sound) -> None:
    import numpy as np

    from eegfoundation.models import load_downstream_model
    from eegfoundation.prediction import predict

    model = load_downstream_model(path, path.with_suffix(".json"))
    table = predict(sound.recordings[0], model)
    assert np.isfinite(table.filter(regex="^p_").to_numpy()).all(), "probabilities are not finite"


def _with_model(name: str, *more: Any) -> Callable[..., int]:
    def run(folder: Path, options: Options, out: Path, sound: Sound) -> int:
        given = sound.recordings[0]
        target = out / "page.html" if name == "report" else out
        return command(name, given, "--out", target, "--model", folder, *more)

    return run


def _with_classifier(name: str) -> Callable[..., int]:
    def run(path: Path, options: Options, out: Path, sound: Sound) -> int:
        target = out / "page.html" if name == "report" else out
        config = path.with_suffix(".json")
        more = ("--model", sound.encoder) if name == "report" else ()
        return command(
            *(name, sound.recordings[0], "--out", target, *more),
            *("--classifier", path, "--classifier_config", config),
        )

    return run


def _learn(name: str, *more: Any) -> Callable[..., int]:
    """Fine-tune or evaluate with an encoder."""

    def run(folder: Path, options: Options, out: Path, sound: Sound) -> int:
        table = _table(
            sound.recordings[4],
            {},
            out,
            Sound(**{**vars(sound), "recordings": sound.recordings[:4]}),
        )
        return command(name, "--task", table, "--out", out, "--model", folder, "--window", 2, *more)

    return run


def _convert(path: Path, options: Options, out: Path, sound: Sound) -> int:
    more = ("--classifier_config", path.with_suffix(".json"))
    return command("convert", path, "--out", out / "new", *more)


def _stream(path: Path, options: Options, out: Path, sound: Sound) -> int:
    return command(
        *("stream", path, "--classifier_config", path.with_suffix(".json"), "--speed", 0),
        *("--replay", sound.recordings[0], "--every", 1, "--out", out / "x.csv"),
    )


CHECKPOINTS = [
    EntryPoint("load_encoder", "encoder", lambda p, o, out, s: script(lambda: _encode(p, s)),
               quick=True),
    EntryPoint("load_encoder(weights='random')", "encoder",
               lambda p, o, out, s: script(lambda: _random_twin(p, s)), single=False),
    EntryPoint("embed --model", "encoder", _with_model("embed"), quick=True),
    EntryPoint("report --model", "encoder", _with_model("report", "--classes", "false")),
    EntryPoint("info, encoder", "encoder", lambda p, o, out, s: command("info", p), single=False),
    EntryPoint("finetune --model", "encoder", _learn("finetune")),
    EntryPoint("evaluate --model", "encoder", _learn("evaluate", *EVALUATE)),
    EntryPoint("load_downstream_model", "classifier",
               lambda p, o, out, s: script(lambda: _classify(p, s)), quick=True),
    EntryPoint("predict --classifier", "classifier", _with_classifier("predict"), quick=True),
    EntryPoint("report --classifier", "classifier", _with_classifier("report")),
    EntryPoint("info, configuration", "classifier",
               lambda p, o, out, s: command("info", p.with_suffix(".json")), single=False),
    EntryPoint("convert", "classifier", _convert, single=False),
    EntryPoint("stream", "classifier", _stream, single=False),
]  # fmt: skip


# ---- corpora ------------------------------------------------------------------------------------


def _read_corpus(path: Path) -> None:
    from eegfoundation.corpus.reader import Corpus

    corpus = Corpus(path)
    corpus.verify()
    for index in range(len(corpus)):
        corpus.signal(index)
        corpus.describe(index)


def _pretrain(path: Path, options: Options, out: Path, sound: Sound) -> int:
    return command(
        *("pretrain", "--corpus", path, "--out", out, "--size", "tiny", "--steps", 2),
        *("--batch_size", 4, "--bf16", "false"),
    )


def _rebuild(*more: Any) -> Callable[..., int]:
    def run(path: Path, options: Options, out: Path, sound: Sound) -> int:
        return command(
            *("build-corpus", sound.compact, "--out", path, "--layout", "compact"),
            *("--window", 2, "--workers", 0, *more),
        )

    return run


def _pretrain_with(path: Path, options: Options, out: Path, sound: Sound) -> int:
    """Another configuration: that of a damaged encoder."""
    return command(
        *("pretrain", "--corpus", sound.corpus, "--out", out, "--steps", 1, "--batch_size", 2),
        *("--model_config", path / "config.json", "--bf16", "false"),
    )


CORPORA = [
    EntryPoint("Corpus", "corpus", lambda p, o, out, s: script(lambda: _read_corpus(p)),
               quick=True),
    EntryPoint("pretrain", "corpus", _pretrain, quick=True),
    EntryPoint("build-corpus, again", "corpus", _rebuild(), single=False, in_place=True),
    EntryPoint("build-corpus --verify", "corpus", _rebuild("--verify", "true"), single=False,
               in_place=True),
    EntryPoint("pretrain --model_config", "encoder", _pretrain_with, single=False),
]  # fmt: skip


# ---- runs that were interrupted -----------------------------------------------------------------


def _pretrain_again(folder: Path, options: Options, out: Path, sound: Sound) -> int:
    return command(
        *("pretrain", "--corpus", sound.corpus, "--out", folder, "--size", "tiny", "--steps", 4),
        *("--batch_size", 4, "--save_steps", 2, "--bf16", "false"),
    )


def _finetune_again(folder: Path, options: Options, out: Path, sound: Sound) -> int:
    return command(
        *("finetune", "--task", sound.table, "--out", folder, "--model", sound.encoder),
        *("--window", 2, "--strategy", "head", "--epochs", 2),
    )


RUNS = [
    EntryPoint("pretrain, again", "pretraining", _pretrain_again, in_place=True),
    EntryPoint("finetune, again", "finetuning", _finetune_again, in_place=True),
]


# ---- tables, BIDS folders, settings -------------------------------------------------------------


def _on_task(name: str, *more: Any) -> Callable[..., int]:
    def run(path: Path, options: Options, out: Path, sound: Sound) -> int:
        return command(
            *(name, "--task", path, "--out", out, "--model", sound.encoder, "--window", 2, *more)
        )

    return run


def _with_settings(*words: Any) -> Callable[..., int]:
    def run(path: Path, options: Options, out: Path, sound: Sound) -> int:
        name, *rest = words
        flat = [word(sound) if callable(word) else word for word in rest]
        return command(name, "--config", path, *flat, "--out", out / "x")

    return run


def _recording_of(sound: Sound) -> Path:
    return sound.recordings[0]


TASKS = [
    EntryPoint("finetune, table", "table", _on_task("finetune"), quick=True),
    EntryPoint("evaluate, table", "table", _on_task("evaluate", *EVALUATE)),
    EntryPoint("finetune, BIDS", "bids", _on_task("finetune"), quick=True),
    EntryPoint("evaluate, BIDS", "bids", _on_task("evaluate", *EVALUATE)),
    *(
        EntryPoint(
            f"{name} --config", "settings", _with_settings(name, *words), quick=name == "embed"
        )
        for name, words in {
            "embed": (_recording_of,),
            "predict": (_recording_of,),
            "tokenize": (_recording_of,),
            "report": (_recording_of,),
            "build-corpus": (lambda sound: sound.compact,),
            "pretrain": ("--corpus", lambda sound: sound.corpus),
            "finetune": ("--task", "table.csv"),
            "evaluate": ("--task", "table.csv"),
        }.items()
    ),
]


# ---- surroundings -------------------------------------------------------------------------------


def _somewhere(run: Callable[[Path, Sound], int]) -> Callable[..., int]:
    def place(damage: Callable[[Callable[[Path], int], Path], int], options: Options, out: Path,
              sound: Sound) -> int:  # fmt: skip
        return damage(lambda folder: run(folder, sound), out)

    return place


PLACES = [
    EntryPoint("embed --out", "place", _somewhere(
        lambda out, s: command("embed", s.recordings[0], "--out", out, *_model(s))), quick=True),
    EntryPoint("predict --out", "place", _somewhere(
        lambda out, s: command("predict", s.recordings[0], "--out", out, *s.classifier_flags))),
    EntryPoint("tokenize --out", "place", _somewhere(
        lambda out, s: command("tokenize", s.recordings[0], "--out", out)), quick=True),
    EntryPoint("report --out", "place", _somewhere(
        lambda out, s: command("report", s.recordings[0], "--out", out / "page.html", *_model(s),
                               "--classes", "false"))),
    EntryPoint("build-corpus --out", "place", _somewhere(
        lambda out, s: command("build-corpus", s.compact, "--out", out, "--layout", "compact",
                               "--window", 2, "--workers", 0)), quick=True),
    EntryPoint("pretrain --out", "place", _somewhere(
        lambda out, s: _pretrain(s.corpus, {}, out, s))),
    EntryPoint("finetune --out", "place", _somewhere(
        lambda out, s: _on_task("finetune")(s.table, {}, out, s))),
    EntryPoint("evaluate --out", "place", _somewhere(
        lambda out, s: _on_task("evaluate", *EVALUATE)(s.table, {}, out, s))),
]  # fmt: skip
