"""Mutate recordings, corpora, checkpoints, settings and tables for so many minutes.

    python scripts/fuzz.py --minutes 60 --keep findings
    python scripts/fuzz.py --minutes 5 --only recording --real FOLDER --seed 3

hypothesis draws a file, an entry point and up to four changes of the file (`mutations`), and makes
what fails as small as it can. Every trial is one of `robustness`: a process of its own, which must
end with a result or one clear sentence. What `scripts/damages/` holds was thought of; this is for
what was not, and what it finds becomes one more damage there. The last line is JSON: minutes,
trials, findings, and trials per group; the exit code is 1 if there are findings.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# before NumPy is imported: what has threads cannot be forked
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import hypothesis
from damages import Damage
from entry_points import EntryPoint, Sound, make_sound
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import strategies as st
from mutations import Edit, edits_of, mutate
from robustness import SOUND, import_everything, one_trial, remove
from targets import GROUPS, Target, make_targets, planted
from tqdm import tqdm

ROUND = 60
"""Examples until the next group has its turn."""
SHRINK_SECONDS = 60.0


class Plan(NamedTuple):
    """One trial."""

    target: Target
    entry: EntryPoint
    member: str
    edits: list[Edit]
    renew: bool
    """Put the checksum of what is mutated where that of the sound file stood."""


# ---- one trial ----------------------------------------------------------------------------------


@st.composite
def plans(draw: st.DrawFn, targets: list[Target]) -> Plan:
    """Draw a trial; what is quick, more often."""
    slow = [target for target in targets if target.name == "eeglab"]  # read in another process
    target = draw(st.sampled_from([t for t in targets if t not in slow] * 5 + slow))
    often = [entry for entry in target.entries if entry.quick] * 5
    entry = draw(st.sampled_from([*often, *target.entries]))
    member = draw(st.sampled_from(target.members))
    edits = draw(edits_of(member, (target.folder / member).read_bytes()))
    # what the Trainer of transformers keeps is its own: checksums are all that we have
    renew = draw(st.booleans()) and entry.takes != "pretraining"
    return Plan(target, entry, member, edits, renew)


def write(plan: Plan, place: Path) -> Any:
    """Write the mutated thing into a folder; what the entry point gets."""
    shutil.copytree(plan.target.folder, place, dirs_exist_ok=True)
    path = place / plan.member
    before = path.read_bytes()
    after = mutate(before, plan.edits)
    path.write_bytes(after)
    if plan.renew:
        old, new = (hashlib.sha256(content).hexdigest().encode() for content in (before, after))
        for other in place.rglob("*"):
            if other.suffix in (".csv", ".json", "") and other.is_file():
                text = other.read_bytes()
                if old in text:
                    size = str(len(before)).encode() + b"," + new, str(len(after)).encode()
                    text = text.replace(old, new).replace(size[0], size[1] + b"," + new)
                    other.write_bytes(text)
    return place / plan.target.given, dict(plan.target.options)


def signature(problem: str) -> str:
    """A problem without the numbers, names and places that differ from trial to trial."""
    problem = re.sub(r"'[^']*'|\"[^\"]*\"|/\S+|0x[0-9a-f]+", "X", problem)
    return re.sub(r"[-+]?\d[\d.e+]*|nan|inf", "N", problem)[:120]


class Found(Exception):
    """For hypothesis: this trial failed."""


class Finding(NamedTuple):
    """What is told of a failure."""

    kind: str
    """The same for the same fault."""
    told: str
    place: str


class Hunt:
    """One of several processes that go from group to group."""

    def __init__(self, targets: dict[str, list[Target]], sound: Sound, folder: Path, given: Any,
                 queue: Any, until: float) -> None:  # fmt: skip
        self.targets, self.sound, self.folder = targets, sound, folder
        self.keep, self.queue, self.until = given.keep, queue, until
        self.left = given.trials // given.jobs if given.trials else sys.maxsize
        self.examples = min(ROUND, max(2, self.left // len(targets)))
        self.known: set[str] = set()

    def run(self, seed: int, first: int) -> None:
        """Rounds, until the time or the trials are over."""
        groups = list(self.targets)
        try:
            for i in itertools.count(first):
                if self._over():
                    break
                number = random.Random(f"{seed} {first} {i}").getrandbits(64)
                self.round(groups[i % len(groups)], number)
        finally:
            self.queue.put(None)

    def _over(self) -> bool:
        return self.left <= 0 or time.monotonic() > self.until

    def round(self, group: str, seed: int) -> None:
        """Some trials of one group; what is found is made smaller, kept and told."""
        found: list[Finding] = []
        until = 0.0

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=self.examples, database=None, deadline=None, verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
        )  # fmt: skip
        @hypothesis.given(plans(self.targets[group]))
        def once(plan: Plan) -> None:
            nonlocal until
            if (time.monotonic() > until) if found else self._over():
                return
            with self.trial(group, plan) as problem:
                kind = signature(problem or "")
                if not problem or kind in self.known or (found and found[0].kind != kind):
                    return
                until = until or time.monotonic() + SHRINK_SECONDS
                found[:] = [Finding(kind, f"{told(plan)}: {problem}", self._keep(kind, plan))]
            raise Found

        # flaky: what failed is passed over once the time to shrink is over
        with contextlib.suppress(Found, hypothesis.errors.Flaky):
            once()
        self.known.update(one.kind for one in found)
        for one in found:
            self.queue.put((group, one))

    @contextlib.contextmanager
    def trial(self, group: str, plan: Plan) -> Iterator[str | None]:
        """Write, run and judge: what is wrong. All of it stays until the context ends."""
        place = self.folder / "trial"
        name = f"{plan.target.name}: mutated"
        damage = Damage(
            name=name, group=plan.target.takes, make=lambda where, _: write(plan, where)
        )
        try:
            result = one_trial(plan.entry, damage, self.sound, place)
            self.left -= 1
            self.queue.put((group, None))
            yield result.problem
        finally:
            remove(place)

    def _keep(self, kind: str, plan: Plan) -> str:
        """Copy what was fed in and what was said; a smaller one replaces a larger one."""
        place = self.keep / f"{re.sub(r'[^A-Za-z0-9]+', '-', kind)[:60]}-{self.folder.name}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.folder / "trial" / "in", place / "in", symlinks=True)
        for name in ("stdout", "stderr"):
            shutil.copy(self.folder / "trial" / name, place)
        (place / "plan.txt").write_text(told(plan), "utf-8", "backslashreplace")
        return str(place)


def told(plan: Plan) -> str:
    """A plan in words."""
    renewed = ", checksums renewed" if plan.renew else ""
    edits = "; ".join(f"{tuple(edit)}"[:300] for edit in plan.edits)
    return f"{plan.target.name}: {plan.member} by {plan.entry.name}{renewed}: {edits}"


def fuzz(given: argparse.Namespace, base: Path) -> tuple[Counter[str], list[Finding]]:
    """Prepare, hunt in several processes, tell; trials per group, and what was found."""
    os.environ["EEGFOUNDATION_CACHE"] = str(base / "cache")
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(base / "hypothesis")
    (base / "cache").mkdir()
    sound: Any = None
    if given.planted:
        targets = {"planted": planted(base)}
    else:
        import torch

        torch.set_num_threads(1)
        sound = make_sound(base / "sound")
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            targets = make_targets(base / "targets", sound, given.real)
        targets = {k: v for k, v in targets.items() if given.only in (None, k)}
        entries = {entry for own in targets.values() for target in own for entry in target.entries}
        import_everything({entry for entry in entries if entry.takes in SOUND}, sound, base)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    until = time.monotonic() + 60 * given.minutes
    workers = []
    for i in range(given.jobs):  # each begins with another group
        hunt = Hunt(targets, sound, base / f"job{i}", given, queue, until)
        workers.append(context.Process(target=hunt.run, args=(given.seed, i)))
        workers[-1].start()
    trials, findings = Counter(dict.fromkeys(targets, 0)), {}
    running = given.jobs
    with tqdm(unit=" trials", mininterval=1.0) as bar:
        while running:
            got = queue.get()
            if got is None:
                running -= 1
                continue
            group, finding = got
            if finding is None:
                trials[group] += 1
                bar.update()
            elif finding.kind in findings:  # by another process
                shutil.rmtree(finding.place)
            else:
                findings[finding.kind] = finding
                bar.write(f"FOUND {finding.told}\n      kept in {finding.place}", file=sys.stdout)
                sys.stdout.flush()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0, "a process of the fuzzer failed, see above"
    return trials, list(findings.values())


def main() -> int:
    """Fuzz for so long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--trials", type=int, help="stop after so many as well")
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--only", choices=GROUPS)
    parser.add_argument("--real", type=Path, help="also mutate the recordings in this folder")
    parser.add_argument("--keep", type=Path, help="folder for what is found; default: a new one")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--planted", action="store_true", help="feed a reader with a fault, which has to be found"
    )
    given = parser.parse_args()
    given.seed = random.SystemRandom().getrandbits(32) if given.seed is None else given.seed
    given.keep = (given.keep or Path(tempfile.mkdtemp(prefix="fuzz-findings-"))).resolve()
    print(f"seed {given.seed}, findings are kept in {given.keep}", flush=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        Path(name).chmod(0o755)
        trials, findings = fuzz(given, Path(name))
    summary = {
        "minutes": round((time.monotonic() - begin) / 60, 1),
        "trials": trials.total(),
        "findings": len(findings),
        "groups": dict(trials),
        "seed": given.seed,
    }
    print(json.dumps(summary))
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
