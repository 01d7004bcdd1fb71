"""Feed everything that can be wrong to every entry point; write docs/robustness.md.

    python scripts/robustness.py                       # everything: many minutes
    python scripts/robustness.py --quick               # a dozen damages, no page
    python scripts/robustness.py --only bomb --entry embed --show

Every trial is a process of its own (`trials`). What must come out is a correct result or one clear
sentence with exit code 2; what must not: a traceback, a hang, a crash of the interpreter, more
than 2 GB, a half file under its final name, or an earlier result or an input changed. The last line
is JSON: damages, entry_points, trials, failures.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", HF_HUB_OFFLINE="1", MPLBACKEND="agg")

import damages.arrays
import damages.corpora
import damages.formats
import damages.models
import damages.paths
import damages.places
import damages.recordings
import damages.runs
import damages.tables
from damages import Damage
from damages.files import edf
from damages.real import real_damages
from entry_points import (
    CHECKPOINTS,
    CORPORA,
    PLACES,
    RECORDINGS,
    RUNS,
    TASKS,
    EntryPoint,
    Sound,
    bids_folder,
    make_sound,
)
from trials import PEAK_GB, PRECIOUS, SECONDS, Outcome, digests, judge, run_forked


def _copy(run: Path, folder: Path) -> Path:
    """What goes on where it lies."""
    return Path(shutil.copytree(run, folder / "run"))


#: An undamaged thing of each group.
SOUND: dict[str, Callable[[Path, Sound], Any]] = {
    "recording": lambda folder, sound: edf(folder / "sub-00_task-x_eeg.edf"),
    "encoder": lambda folder, sound: sound.encoder,
    "classifier": lambda folder, sound: sound.classifier,
    "corpus": lambda folder, sound: sound.corpus,
    "pretraining": lambda folder, sound: _copy(sound.pretraining, folder),
    "finetuning": lambda folder, sound: _copy(sound.finetuning, folder),
    "table": lambda folder, sound: sound.table,
    "place": lambda folder, sound: lambda command, out: command(out / "new"),
    "bids": lambda folder, sound: bids_folder(folder, sound),
}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "robustness.md"
ENTRY_POINTS: list[EntryPoint] = [*RECORDINGS, *CHECKPOINTS, *CORPORA, *RUNS, *TASKS, *PLACES]


class Result(NamedTuple):
    """Of one trial."""

    damage: str
    entry_point: str
    group: str
    code: int
    said: str
    problem: str | None
    seconds: float
    peak_gb: float


def all_damages() -> list[Damage]:
    """Every kind of damage."""
    lists = (
        *(damages.recordings.damage, damages.arrays.COMPACT),
        *(damages.models.encoder, damages.models.classifier, damages.corpora.corpus),
        *(damages.tables.table, damages.tables.bids, damages.tables.settings),
        *(damages.runs.pretraining, damages.runs.finetuning, damages.places.place),
    )
    return [damage for one in lists for damage in one.all]


def takes(entry: EntryPoint, damage: Damage) -> bool:
    """Whether a damage can reach an entry point."""
    if entry.takes != damage.group or entry.name.removesuffix(" --out") in damage.not_for:
        return False
    if entry.name == "pretrain --model_config" and "config" not in damage.name:
        return False
    # only what takes compact recordings takes .npz
    return not damage.name.startswith("npz:") or entry.name in ("build-corpus", "finetune")


def one_trial(entry: EntryPoint, damage: Damage, sound: Sound, folder: Path) -> Result:
    """Make the damage, run the entry point on it, look at everything it left."""
    place = folder / "in"
    if entry.name == "evaluate (BIDS)":
        place = folder / "in" / "sub-00" / "eeg"
    out = folder / "out"
    for one in (folder, out):
        one.mkdir(parents=True, exist_ok=True)
        one.chmod(0o777)
    (out / "precious.txt").write_text(PRECIOUS)
    # stems as BIDS has them, everywhere
    if damage.group == "place":
        made: Any = damage.make  # works within the trial's process
        out.chmod(0o777)
    else:
        made = damage.make(place, "sub-00_task-x_eeg" if damage.group == "recording" else sound)
    given, options = made if isinstance(made, tuple) else (made, {})
    as_nobody = options.pop("as_nobody", False)
    before = digests(place)
    outcome = run_forked(lambda: entry.run(given, options, out, sound), folder, as_nobody=as_nobody)
    expect = damage.expect if entry.single else "either"
    problem = judge(outcome, out, expect)
    after = {name: value for name, value in digests(place).items() if name in before}
    if problem is None and before != after and not entry.in_place:
        problem = "changed its input"
    if problem is None and (folder / "owned").exists():
        problem = "code from a file was run"
    return Result(
        damage.name,
        entry.name,
        damage.group,
        outcome.code,
        _said(outcome, folder),
        problem,
        outcome.seconds,
        outcome.peak_gb,
    )


def _said(outcome: Outcome, folder: Path) -> str:
    lines = [line for line in outcome.stderr.splitlines() if line.strip()]
    return lines[-1].replace(str(folder), "DIR") if lines else ""


def _work(job: tuple[list[tuple[EntryPoint, Damage]], Sound, Path, Any]) -> None:
    """One of several processes, each of which forks its trials."""
    pairs, sound, folder, queue = job
    for i, (entry, damage) in enumerate(pairs):
        place = folder / f"trial{i}"
        queue.put(one_trial(entry, damage, sound, place))
        remove(place)
    queue.put(None)


def remove(folder: Path) -> None:
    """Remove a folder whatever was done to its rights."""
    for parent, names, _ in os.walk(folder):  # what a damage has locked
        for name in names:
            os.chmod(Path(parent, name), 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def run(pairs: Sequence[tuple[EntryPoint, Damage]], jobs: int, show: bool) -> list[Result]:
    """All trials, `jobs` at a time."""
    import torch

    torch.set_num_threads(1)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="robustness") as name:
        base = Path(name)
        base.chmod(0o755)
        os.environ["EEGFOUNDATION_CACHE"] = str(base / "cache")
        (base / "cache").mkdir(mode=0o777)
        sound = make_sound(base / "sound")
        import_everything({entry for entry, _ in pairs}, sound, base)
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        workers = []
        for i in range(jobs):
            mine = list(pairs[i::jobs])
            worker = context.Process(target=_work, args=((mine, sound, base / f"job{i}", queue),))
            worker.start()
            workers.append(worker)
        running = jobs
        while running:
            result = queue.get()
            if result is None:
                running -= 1
                continue
            results.append(result)
            if result.problem or show:
                verdict = f"FAILED: {result.problem}" if result.problem else result.said
                print(
                    f"{result.damage} -> {result.entry_point} [{result.code}, "
                    f"{result.seconds:.1f} s, {result.peak_gb:.2f} GB]: {verdict}",
                    flush=True,
                )
        for worker in workers:
            worker.join()
    return results


def import_everything(entries: set[EntryPoint], sound: Sound, base: Path) -> None:
    """Run every entry point on sound files once, in this process: forks then begin warm."""
    import contextlib
    import io

    for entry in sorted(entries, key=lambda entry: entry.name):
        out = base / "warm" / entry.name.replace(" ", "_")
        out.mkdir(parents=True)
        place = out.parent / "in" / entry.name / "sub-00" / "eeg"
        if entry.takes == "settings":  # the same commands as the others
            continue
        given, options = SOUND[entry.takes](place, sound), {}
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            code = entry.run(given, options, out, sound)
        assert code == 0, f"{entry.name} fails on a sound input"


INTRODUCTION = """# Robustness: what was fed in, and what came out

Made by `python scripts/robustness.py` (part of `make test-long`); do not edit.

{damages} kinds of damage by {entry_points} entry points, {trials} trials,
**{failures} failures**. Each trial is a process of its own with a limit of {seconds:g} s. The
outcome must be a correct result or one clear sentence with exit code 2. A failure is a traceback,
a hang, a crash of the interpreter, more than {peak:g} GB of memory, a refusal for lack of memory
where a look at the sizes would have done, a half file under its final name, a file left behind, an
earlier result or an input changed, code of a file that was run, or the opposite of what is expected
of a damage.

Damages are made from small simulated recordings, checkpoints and corpora (`scripts/damages/`), so
nothing but this repository is needed.

## What was not thought of

`scripts/fuzz.py` mutates recordings, corpora, checkpoints, settings and tables for as long as it is
told, and feeds them to the same entry points: hypothesis draws a file and up to four changes (bits,
numbers, blocks; values of JSON, YAML, tables and EDF headers; members of zip files), and makes what
fails as small as it can. What it finds becomes a damage of this page.

    python scripts/fuzz.py --minutes 60        # as in `make test-long`
    python scripts/fuzz.py --minutes 5 --only corpus --seed 3 --keep FOLDER
    python scripts/fuzz.py --real FOLDER       # recordings of your own as well
"""


def page(results: list[Result], every: list[Damage], summary: dict[str, int]) -> str:
    """The page of everything that was tried."""
    text = [INTRODUCTION.format(**summary, seconds=SECONDS, peak=PEAK_GB)]
    text.append("## Entry points\n")
    text.append("| entry point | trials | results | refusals | failures | most memory, GB |")
    text.append("|---|---|---|---|---|---|")
    for entry in ENTRY_POINTS:
        own = [r for r in results if r.entry_point == entry.name]
        if own:
            codes = Counter(r.code for r in own if not r.problem)
            peak = max(r.peak_gb for r in own)
            failures = sum(r.problem is not None for r in own)
            text.append(
                f"| {entry.name} | {len(own)} | {codes[0]} | {codes[2]} | {failures} | {peak:.1f} |"
            )
    text.append("\n## Damages\n")
    text.append("What is said is what the first entry point says that refuses.\n")
    of_damage: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        of_damage[result.damage].append(result)
    order = {entry.name: i for i, entry in enumerate(ENTRY_POINTS)}
    for group in dict.fromkeys(damage.group for damage in every):
        text.append(f"\n### {group}\n\n| damage | results | refusals | said |\n|---|---|---|---|")
        for damage in every:
            own = sorted(of_damage[damage.name], key=lambda r: order[r.entry_point])
            if damage.group != group or not own:
                continue
            codes = Counter(r.code for r in own)
            said = next((r.said for r in own if r.code == 2), "")
            text.append(f"| {_cell(damage.name)} | {codes[0]} | {codes[2]} | {_cell(said)} |")
    return "\n".join(text) + "\n"


def _cell(text: str) -> str:
    """Printable, short, and without what a table would take for its own."""
    text = re.sub(r"DIR(/[\w.-]+)*/", "", text.removeprefix("eegfoundation: "))
    text = re.sub(r"/[^ ]*/robustness\w+/(sound/)?(recordings/)?", "", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x...", text)
    text = "".join(c if c.isprintable() else " " for c in text)
    text = text if len(text) <= 160 else text[:157] + "..."
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a dozen damages, no page")
    parser.add_argument("--only", help="damages whose name matches this regular expression")
    parser.add_argument("--entry", help="entry points whose name matches this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="print every trial")
    parser.add_argument("--results", type=Path, help="also write all trials as JSON")
    parser.add_argument("--real", type=Path, help="damage the recordings in this folder instead")
    parser.add_argument("--seeds", type=int, default=8, help="damages of each of them")
    parser.add_argument(
        "--again", type=Path, help="results of before: run only what failed there or is missing"
    )
    given = parser.parse_args()
    every = real_damages(given.real, given.seeds) if given.real else all_damages()
    chosen = [
        d
        for d in every
        if (not given.only or re.search(given.only, d.name)) and (d.quick or not given.quick)
    ]
    entries = [
        e
        for e in ENTRY_POINTS
        if (not given.entry or re.search(given.entry, e.name)) and (e.quick or not given.quick)
    ]
    pairs = [(entry, damage) for damage in chosen for entry in entries if takes(entry, damage)]
    before = [Result(**one) for one in json.loads(given.again.read_text())] if given.again else []
    wanted = {(entry.name, damage.name) for entry, damage in pairs}
    kept = [r for r in before if not r.problem and (r.entry_point, r.damage) in wanted]
    known = {(r.entry_point, r.damage) for r in kept}
    todo = [(entry, damage) for entry, damage in pairs if (entry.name, damage.name) not in known]
    results = [*kept, *run(todo, given.jobs, given.show)]
    if given.results:
        given.results.write_text(json.dumps([r._asdict() for r in results], indent=1))
    summary = {
        "damages": len({r.damage for r in results}),
        "entry_points": len({r.entry_point for r in results}),
        "trials": len(results),
        "failures": sum(r.problem is not None for r in results),
    }
    if not (given.quick or given.only or given.entry or given.real):
        PAGE.write_text(page(results, every, summary), encoding="utf-8")
    print(json.dumps(summary))
    return 0 if not summary["failures"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
