"""What `fuzz` mutates: something sound of every group, each in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from damages.files import SFREQ, bdf, compact, edf, eeglab, fif, gdf, npy, vhdr
from damages.real import ELSEWHERE, copy_with_side_files
from entry_points import (
    CHECKPOINTS,
    CORPORA,
    RECORDINGS,
    RUNS,
    TASKS,
    EntryPoint,
    Sound,
    bids_folder,
    command,
)

GROUPS = ("recording", "corpus", "checkpoint", "config", "table")
STEM = "sub-00_task-x_eeg"
#: Only these take compact recordings (.npz).
COMPACT = ("build-corpus", "finetune")


class Target(NamedTuple):
    """Something sound whose files are mutated."""

    name: str
    takes: str
    """Group of damages, as of an `EntryPoint`."""
    folder: Path
    given: str
    """What an entry point gets, relative to the folder."""
    members: tuple[str, ...]
    """What is mutated, relative to the folder."""
    entries: tuple[EntryPoint, ...]
    options: dict[str, Any]


def _with_settings(name: str, *words: Any) -> Callable[..., int]:
    def run(path: Path, options: Any, out: Path, sound: Sound) -> int:
        flat = [word(sound) if callable(word) else word for word in words]
        return command(name, "--config", path, *flat, "--out", out / "x")

    return run


#: Settings of a command, with how much it has to do on the command line: to want a thousand
#: years of pretraining is no damage.
SETTINGS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "embed": (
        "model: {encoder}\nwindow: 4.0\noverlap: 0.5\nline_freq: 50\nch_names: null\n"
        "time_resolved: false\ndtype: float32\n",
        (lambda s: s.recordings[0],),
    ),
    "predict": (
        "classifier: {classifier}\nclassifier_config: {config}\noverlap: 0.5\nline_freq: 50\n",
        (lambda s: s.recordings[0],),
    ),
    "build-corpus": (
        "layout: compact\nwindow: 2.0\nmin_quality: 0.5\nchannels: [C3, Cz]\nsegment: 5\n"
        "segment_uv: 100\nhighpass: 0.5\nlowpass: 40\nnotch: 50\nskip_start: 1.0\n",
        (lambda s: s.compact, "--workers", 0),
    ),
    "pretrain": (
        "size: tiny\nbatch_size: 4\nlearning_rate: 1e-3\nwarmup: 0.5\nweight_decay: 0.1\n"
        "mask_ratio: 0.2\nmask_span: 2\ntoken_weight: 1.0\nordinal_sigma: 1.0\ntoken_stride: 5\n"
        "seed: 1\nsave_steps: 2\nlog_steps: 1\nverify: true\n",
        ("--corpus", lambda s: s.corpus, "--steps", 2, "--bf16", "false", "--workers", 0,
         "--gradient_accumulation", 1),
    ),
    "finetune": (
        "model: {encoder}\nwindow: 2.0\nstrategy: head\nalignment: none\npatience: 2\n"
        "monitor: loss\nbatch_size: 4\nlearning_rate: 0.01\nclass_weights: true\n"
        "augmentation: true\nlora_rank: 2\nseed: 1\nclasses: [rest, task]\n",
        ("--task", lambda s: s.table, "--epochs", 1),
    ),
    "evaluate": (
        "model: {encoder}\nwindow: 2.0\nprotocol: kfold\nalignments: [none]\nseed: 0\n",
        ("--task", lambda s: s.table, "--n_splits", 2, "--seeds", 1),
    ),
}  # fmt: skip


def make_targets(base: Path, sound: Sound, real: Path | None) -> dict[str, list[Target]]:
    """Sound things of every group, each in a folder of its own."""
    found: dict[str, list[Target]] = {group: [] for group in GROUPS}

    def add(group: str, name: str, takes_: str, given: str, entries: Sequence[EntryPoint],
            members: str = "*", **options: Any) -> None:  # fmt: skip
        folder = base / name
        files = sorted(p.relative_to(folder) for p in folder.rglob(members) if p.is_file())
        # README and pictures are read by nobody
        names = tuple(str(p) for p in files if p.suffix not in (".md", ".png"))
        target = Target(name, takes_, folder, given, names, tuple(entries), options)
        found[group].append(target)

    writers: dict[str, tuple[Callable[[Path], Any], str]] = {
        "edf": (edf, ".edf"), "bdf": (bdf, ".bdf"), "brainvision": (vhdr, ".vhdr"),
        "gdf": (gdf, ".gdf"), "fif": (fif, "_raw.fif"), "fif, gzipped": (fif, "_raw.fif.gz"),
        "npy": (npy, ".npy"), "npz": (compact, ".npz"),
        "eeglab": (lambda path: eeglab(path, compressed=False), ".set"),
    }  # fmt: skip
    for name, (write, ending) in writers.items():
        write(base / name / f"{STEM}{ending}")
        entries = [e for e in RECORDINGS if name != "npz" or e.name in COMPACT]
        options = {"sfreq": SFREQ} if name == "npy" else {}
        add("recording", name, "recording", f"{STEM}{ending}", entries, **options)
    for source in sorted(real.iterdir()) if real else ():
        name = f"real, {source.name}"
        copy_with_side_files(source, base / name)
        entries = [e for e in RECORDINGS if e.name not in ELSEWHERE]
        add("recording", name, "recording", source.name, entries, source.name)

    shutil.copytree(sound.corpus, base / "corpora" / "corpus")
    corpora = [e for e in CORPORA if e.takes == "corpus"]
    add("corpus", "corpora", "corpus", "corpus", corpora)

    shutil.copytree(sound.encoder, base / "encoders" / "encoder")
    encoders = [e for e in (*CHECKPOINTS, *CORPORA) if e.takes == "encoder"]
    add("checkpoint", "encoders", "encoder", "encoder", encoders)
    (base / "classifiers").mkdir()
    for path in (sound.classifier, sound.classifier.with_suffix(".json")):
        shutil.copy(path, base / "classifiers")
    classifiers = [e for e in CHECKPOINTS if e.takes == "classifier"]
    add("checkpoint", "classifiers", "classifier", "classifier.pth", classifiers)

    for name, (text, words) in SETTINGS.items():
        places = {"encoder": sound.encoder, "classifier": sound.classifier,
                  "config": sound.classifier.with_suffix(".json")}  # fmt: skip
        (base / f"{name} --config").mkdir()
        (base / f"{name} --config" / "settings.yaml").write_text(text.format(**places))
        entry = EntryPoint(f"{name} --config", "settings", _with_settings(name, *words))
        add("config", f"{name} --config", "settings", "settings.yaml", [entry])
    for entry in RUNS:
        shutil.copytree(getattr(sound, entry.takes), base / entry.name / "run")
        add("config", entry.name, entry.takes, "run", [entry])

    (base / "tables").mkdir()
    shutil.copy(sound.table, base / "tables" / "table.csv")
    add("table", "tables", "table", "table.csv", [e for e in TASKS if e.takes == "table"])
    bids_folder(base / "studies" / "bids", sound)
    studies = [e for e in TASKS if e.takes == "bids"]
    add("table", "studies", "bids", "bids", studies, "*.tsv")
    return found


def planted(base: Path) -> list[Target]:
    """A fault that has to be found: a reader that takes the number of signals on trust."""

    def read(path: Path, options: Any, out: Path, sound: Sound) -> int:
        print(int(path.read_bytes()[252:256]))
        return 0

    edf(base / "planted" / "x.edf")
    entry = EntryPoint("planted", "recording", read)
    return [Target("planted", "recording", base / "planted", "x.edf", ("x.edf",), (entry,), {})]
