"""Many recordings -> a corpus: list them, process what is missing, write the index.

The folder of a corpus::

    settings.json          what it is made with, written first: a restart must ask for the same
    shards/ab/<...>.npy    one shard per recording (see `shards`), with a .json beside it
    failures.csv           recordings without a shard, and why
    index.csv              one line per shard
    corpus.json            totals, versions and the hash of the corpus, written last

Interrupted at any moment, the same command goes on where it was and ends with the same bytes.
Several machines share the work by ``part="3/16"``: whoever finishes last writes the index.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from eegfoundation import __version__
from eegfoundation.corpus.layouts import FoundRecording, find_recordings
from eegfoundation.corpus.settings import CorpusSettings
from eegfoundation.corpus.shards import UNFINISHED, corpus_hash, replacing, write_json
from eegfoundation.errors import ConfigError, EEGFoundationError, OutputError

INDEX_COLUMNS = ("recording", "subject", "shard", "n_rows", "sfreq", "ch_names", "bytes", "sha256")


def build_corpus(
    sources: list[str],
    out: str,
    layout: str = "folder",
    window: float = 10.0,
    min_quality: float = 1.0,
    channels: list[str] | None = None,
    min_duration: float | None = None,
    skip_start: float | None = None,
    skip_end: float | None = None,
    segment: float | None = None,
    segment_uv: float | None = None,
    artefact_uv: float | None = None,
    sfreq: float | None = None,
    highpass: float | None = None,
    lowpass: float | None = None,
    notch: float | str | None = None,
    reference: str | None = None,
    units: str | None = None,
    workers: int | None = None,
    engine: Literal["process", "ray"] = "process",
    part: str | None = None,
    verify: bool = False,
) -> dict[str, Any] | None:
    """Turn folders of recordings into a corpus for pretraining; restartable at any moment.

    Settings that are left out are those of the layout. 0 switches a filter or a limit off.

    Parameters
    ----------
    sources : list of str
        Folders, files, or quoted patterns such as "data/S0[1-7]_*.edf".
    out : str
        Folder of the corpus. If it is there already, what is missing is added.
    layout : str
        "folder" (every file of a known format), "bids", "tueg" (names of the TUH EEG corpus, and
        the published recipe as its settings), "compact" (.npz), or "module:name" of your own.
    window : float
        Length of a window in seconds.
    min_quality : float
        Share of usable samples that a channel window needs.
    channels : list of str | None
        Channels that every recording must have, and the only ones used; default: whatever is EEG
        (tueg: 19 electrodes of the 10-20 system).
    min_duration : float | None
        Leave out recordings shorter than this, in seconds; default 0 (tueg: 300).
    skip_start : float | None
        Seconds to cut off at the beginning; default 0 (tueg: 60).
    skip_end : float | None
        Seconds to cut off at the end; default 0 (tueg: 60).
    segment : float | None
        Seconds that are kept or rejected together; default: the window (tueg: 30).
    segment_uv : float | None
        Reject segments in which any channel exceeds this, in microvolts; default: off (tueg: 100).
    artefact_uv : float | None
        Single samples beyond this are unusable, in microvolts; default 500 (off with segment_uv).
    sfreq : float | None
        Sampling rate of the corpus in Hz; default 200.
    highpass : float | None
        Lower edge of the pass band in Hz; default 0.3.
    lowpass : float | None
        Upper edge of the pass band in Hz; default 75.
    notch : float | str | None
        Mains frequency in Hz, or "auto"; default "auto" (tueg: 60).
    reference : str | None
        "as recorded", "average", "soft average" or "bipolar"; default "as recorded".
    units : str | None
        Unit of the numbers in the files, if they are not what they claim: V, mV, uV or nV.
    workers : int | None
        Processes; default: one per CPU. 0: work in this process. It does not change the result.
    engine : str
        "process", or "ray" for a cluster.
    part : str | None
        "3/16": process the third of 16 parts of the recordings, for job arrays.
    verify : bool
        Compare the checksums of finished shards, and make damaged ones again.

    Returns
    -------
    corpus : dict | None
        The content of corpus.json; None while recordings are left to other parts.

    Raises
    ------
    EEGFoundationError
        If there is nothing to read, nothing usable, or the folder holds another corpus. A recording
        that fails is no error: it goes to failures.csv.
    """
    settings = CorpusSettings.for_layout(
        layout,
        window=window,
        min_quality=min_quality,
        channels=channels,
        min_duration=min_duration,
        skip_start=skip_start,
        skip_end=skip_end,
        segment=segment,
        segment_uv=segment_uv,
        artefact_uv=artefact_uv,
        sfreq=sfreq,
        highpass=highpass,
        lowpass=lowpass,
        notch=notch,
        reference=reference,
        units=units,
    )
    if workers is not None and workers < 0:
        raise ConfigError(f"workers must be 0 or more, found {workers}.")
    recordings = find_recordings(sources, layout)
    mine = recordings[_part(part)]
    folder = Path(out)
    _claim(folder, settings, recordings)
    _process(folder, settings, mine, workers, engine, verify)
    return _finish(folder, settings, recordings, part)


def _part(part: str | None) -> slice:
    """Every n-th recording: parts of equal size, whatever the sorting puts together."""
    if part is None:
        return slice(None)
    numbers = re.fullmatch(r"(\d+)/(\d+)", part)
    if not numbers or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise ConfigError(f"part must look like '3/16', with 1 to 16 before the /: found {part!r}.")
    return slice(int(numbers[1]) - 1, None, int(numbers[2]))


def _claim(folder: Path, settings: CorpusSettings, recordings: list[FoundRecording]) -> None:
    """Make the folder this corpus's own, or refuse to mix it with another."""
    from eegfoundation.corpus.process import shard_path

    path = folder / "settings.json"
    wanted = {"eegfoundation": __version__, **settings.to_dict()}
    if not path.exists():
        if (folder / "shards").exists():
            raise OutputError(f"{folder} has shards but no settings.json: choose another folder.")
        write_json(path, wanted)
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{path} is damaged ({error}): choose another folder.") from error
    if not isinstance(there, dict):
        raise OutputError(f"{path} holds no settings of a corpus: choose another folder.")
    # Through JSON, as what is there: no difference between 10 and 10.0, tuple and list.
    if changed := _differences(there, json.loads(json.dumps(wanted))):
        raise OutputError(
            f"{folder} holds a corpus made with {'; '.join(changed)}: "
            "ask for the same settings, or choose another folder."
        )
    expected = {shard_path(recording.name).name for recording in recordings}
    strangers = [p for p in (folder / "shards").glob("*/*.npy") if p.name not in expected]
    if strangers:
        raise OutputError(
            f"{folder} holds {len(strangers)} shards of recordings that are not among the sources "
            f"({min(strangers).name}, ...): give all sources, or choose another folder."
        )


def _differences(there: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    found = []
    for name in sorted({*there, *wanted}):
        a, b = there.get(name), wanted.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b)
        elif a != b:
            found.append(f"{name} = {a!r} (now {b!r})")
    return found


def _process(
    folder: Path,
    settings: CorpusSettings,
    recordings: list[FoundRecording],
    workers: int | None,
    engine: str,
    verify: bool,
) -> None:
    """Process what is missing; what failed before is tried again."""
    from tqdm import tqdm

    from eegfoundation.corpus.engines import ENGINES
    from eegfoundation.corpus.process import Task, read_outcome

    if engine not in ENGINES:
        raise ConfigError(f"engine must be one of {', '.join(ENGINES)}, found {engine!r}.")
    hours, todo = 0.0, []
    for recording in recordings:
        outcome = read_outcome(folder, recording, verify=verify)
        if outcome is None or "failure" in outcome:
            todo.append(Task(recording, folder, settings))
        else:
            hours += outcome["n_rows"] * settings.window / 3600
    bar = tqdm(
        total=len(recordings), initial=len(recordings) - len(todo), unit="recording", disable=None
    )
    with bar, contextlib.closing(ENGINES[engine](todo, workers)) as outcomes:
        for outcome in outcomes:
            if "failure" in outcome:
                bar.write(f"{outcome['recording']}: {outcome['failure']}", file=sys.stderr)
            else:
                hours += outcome["n_rows"] * settings.window / 3600
            bar.set_postfix_str(f"{hours:.1f} channel-hours", refresh=False)
            bar.update()


def _finish(
    folder: Path, settings: CorpusSettings, recordings: list[FoundRecording], part: str | None
) -> dict[str, Any] | None:
    """Write the lists and the summary, once every recording has an outcome."""
    from eegfoundation.corpus.process import read_outcome

    known = [read_outcome(folder, recording) for recording in recordings]
    outcomes = [outcome for outcome in known if outcome is not None]
    failures = [outcome for outcome in outcomes if "failure" in outcome]
    shards = [outcome for outcome in outcomes if "failure" not in outcome]
    _write_csv(
        folder / "failures.csv",
        ("recording", "reason"),
        ((failure["recording"], failure["failure"]) for failure in failures),
    )
    if len(outcomes) < len(recordings):
        left = len(recordings) - len(outcomes)
        print(f"{folder}: {left} of {len(recordings)} recordings are left to other parts")
        return None
    if part is None:  # no other builder is at work here
        _remove_leftovers(folder)
    if not shards:
        raise EEGFoundationError(
            f"none of {len(recordings)} recordings is usable: the reasons are in "
            f"{folder / 'failures.csv'}, the first is: {failures[0]['failure']}"
        )
    _write_csv(folder / "index.csv", INDEX_COLUMNS, map(_index_row, shards))
    n_windows = sum(shard["n_rows"] for shard in shards)
    corpus = {
        "hash": corpus_hash(shard["sha256"] for shard in shards),
        "n_windows": n_windows,
        "n_times": settings.n_times,
        "sfreq": settings.preprocessing.sfreq,
        "channel_hours": round(n_windows * settings.window / 3600, 3),
        "n_recordings": len(shards),
        "n_subjects": len({shard["subject"] for shard in shards}),
        "n_failures": len(failures),
        "same_samples": _copies(shards),
        "settings": settings.to_dict(),
        "versions": {
            "eegfoundation": __version__,
            **{name: version(name) for name in ("mne", "numpy", "scipy")},
        },
    }
    write_json(folder / "corpus.json", corpus)
    print(
        f"{folder}: {len(shards)} recordings of {corpus['n_subjects']} subjects, {n_windows} "
        f"channel windows of {settings.window:g} s ({corpus['channel_hours']:.1f} channel-hours)"
    )
    for names in corpus["same_samples"]:
        print(f"{' and '.join(names)} hold the same samples: keep one of them", file=sys.stderr)
    if failures:
        print(
            f"{len(failures)} of {len(recordings)} recordings were left out: see "
            f"{folder / 'failures.csv'}",
            file=sys.stderr,
        )
    return corpus


def _copies(shards: list[dict[str, Any]]) -> list[list[str]]:
    """Recordings whose shards are the same, byte by byte: one recording under several names."""
    names: dict[str, list[str]] = {}
    for shard in shards:
        names.setdefault(shard["sha256"], []).append(shard["recording"])
    return [same for same in names.values() if len(same) > 1]


def _remove_leftovers(folder: Path) -> None:
    """Of builders that were killed; nothing that other commands write here."""
    names = ("settings.json", "failures.csv", "index.csv", "corpus.json", "shards/*/*")
    for name in names:
        for leftover in folder.glob(f"{name}.*{UNFINISHED}"):
            leftover.unlink(missing_ok=True)


def _index_row(shard: dict[str, Any]) -> Iterator[Any]:
    for column in INDEX_COLUMNS:
        value = shard[column]
        yield ";".join(value) if column == "ch_names" else value


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode(errors="backslashreplace"))
