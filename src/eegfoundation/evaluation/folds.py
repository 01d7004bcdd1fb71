"""Who is learnt from, who validates, who is tested: the folds of a protocol.

    split     the task's own subjects of each part, their windows counted
    loso      leave one subject out
    kfold     every subject tested once, several at a time
    session   within a person: the last session is tested, the earlier ones are learnt from
    run       within a person: every run is tested once

Folds depend on the trials and the seed alone. They are written down with the results, so that
another program, of another framework, can be scored on exactly the same windows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eegfoundation.errors import TaskError
from eegfoundation.evaluation.leakage import check_folds
from eegfoundation.tasks.task import PARTS, UNLABELLED

if TYPE_CHECKING:
    from eegfoundation.tasks import Split, Trials

#: What may not be on both sides of a fold, by protocol.
PROTOCOLS = {
    "split": "subject",
    "loso": "subject",
    "kfold": "subject",
    "session": "session",
    "run": "run",
}

#: One of so many subjects (sessions, runs) that could be learnt from validates instead.
_ONE_IN = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """Positions into `Trials`, ascending; no two parts share one."""

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def design(self) -> np.ndarray:
        """Train and validation together: all that may decide anything."""
        return np.sort(np.concatenate([self.train, self.validation]))


def make_folds(
    trials: Trials, protocol: str, split: Split | None = None, n_splits: int = 5, seed: int = 0
) -> list[Fold]:
    """Make the folds of a protocol and check that nothing leaks.

    Parameters
    ----------
    trials : Trials
    protocol : {"split", "loso", "kfold", "session", "run"}
    split : Split | None
        Subjects of each part, for "split".
    n_splits : int
        Folds of "kfold", and per person of "run" at most.
    seed : int
        Of who validates, and of who is tested together.

    Returns
    -------
    folds : list of Fold
        No window is tested twice. A person with a single session (run) is in no fold of "session"
        ("run").

    Raises
    ------
    TaskError
        If the trials do not have what the protocol needs, their number is not what the split says,
        or a fold leaks (see `check_folds`).
    """
    if protocol not in PROTOCOLS:
        raise TaskError(f"protocol={protocol!r} is unknown; choose one of {list(PROTOCOLS)}.")
    if n := int((trials.y == UNLABELLED).sum()):
        raise TaskError(f"{n} windows have no label; folds are made of those that have one.")
    if protocol == "split":
        if split is None:
            raise TaskError(
                "The task has no fixed split of subjects; choose protocol kfold or loso."
            )
        folds = [_split_fold(trials, split, seed)]
    elif protocol in ("session", "run"):
        folds = list(_within_persons(trials, protocol, n_splits, seed))
        if not folds:
            raise TaskError(
                f"Nobody has two {protocol}s, as protocol {protocol} needs; choose kfold or loso."
            )
    else:
        folds = list(_over_subjects(trials, protocol, n_splits, seed))
    check_folds(trials, folds, PROTOCOLS[protocol])
    return folds


def thin(trials: Trials, fold: Fold, shots: int, seed: int) -> Fold:
    """Keep a few labelled windows per class, drawn evenly over subjects.

    Parameters
    ----------
    trials : Trials
    fold : Fold
    shots : int
        Windows per class, out of train and validation together.
    seed : int

    Returns
    -------
    thinned : Fold
        The same test windows. Each class is drawn from the same subjects as far as they have
        windows of it, so that who it is says nothing about the class.

    Raises
    ------
    TaskError
        If a class has fewer windows.
    """
    if shots < 1:
        raise TaskError(f"shots={shots}; it must be at least 1.")
    rng = np.random.default_rng([seed, shots])
    design = fold.design
    order = rng.permutation(sorted_names(trials.subject[design]))
    drawn: list[int] = []
    for label, name in enumerate(trials.classes):
        of_class = design[trials.y[design] == label]
        if len(of_class) < shots:
            raise TaskError(
                f"Fold {fold.name} has {len(of_class)} windows of class {name} to learn from; "
                f"expected at least shots={shots}."
            )
        queues = [list(rng.permutation(of_class[trials.subject[of_class] == s])) for s in order]
        taken: list[int] = []
        while len(taken) < shots:
            taken += [queue.pop() for queue in queues if queue]
        drawn += taken[:shots]
    kept = np.sort(np.array(drawn, dtype=np.int64))
    train = kept[np.isin(kept, fold.train)]
    if len(np.unique(trials.y[train])) < len(trials.classes):  # too few to set some apart
        train = kept
    validation = np.setdiff1d(kept, train)
    return Fold(name=fold.name, train=train, validation=validation, test=fold.test)


def folds_to_json(
    trials: Trials, folds: Sequence[Fold], protocol: str, seed: int = 0
) -> dict[str, Any]:
    """Describe folds so that another program can use them and prove that it does.

    Parameters
    ----------
    trials : Trials
    folds : sequence of Fold
    protocol : str
    seed : int

    Returns
    -------
    content : dict
        For JSON: positions of every part, its subjects, sessions and runs, and digests of whose
        the windows are ("labels_sha256") and of their samples ("signals_sha256": float32 as
        loaded, C order).
    """
    unit = trials.group("session")
    described = []
    for fold in folds:
        one: dict[str, Any] = {"name": fold.name}
        for part in PARTS:
            index = getattr(fold, part)
            one[part] = {
                "subjects": sorted_names(trials.subject[index]),
                "sessions": sorted_names(unit[index]),
                "positions": index.tolist(),
            }
        described.append(one)
    return {
        "protocol": protocol,
        "seed": seed,
        "classes": list(trials.classes),
        "n_windows": len(trials),
        "labels_sha256": _labels_digest(trials),
        "signals_sha256": _signals_digest(trials),
        "folds": described,
    }


def folds_from_json(content: dict[str, Any], trials: Trials, *, signals: bool = True) -> list[Fold]:
    """Read folds that `folds_to_json` described.

    Parameters
    ----------
    content : dict
    trials : Trials
        The same windows.
    signals : bool
        Whether the samples must be the same, too; with another reference or on another processor
        they differ.

    Returns
    -------
    folds : list of Fold

    Raises
    ------
    TaskError
        If these are other windows, or a fold leaks.
    """
    differs = content["labels_sha256"] != _labels_digest(trials)
    if differs or (signals and content["signals_sha256"] != _signals_digest(trials)):
        raise TaskError(
            f"These {len(trials)} windows are not the {content['n_windows']} that the folds were "
            f"made of (their {'labels' if differs else 'samples'} differ); load the same "
            "recordings with the same settings."
        )
    folds = [
        Fold(
            name=one["name"],
            **{part: np.array(one[part]["positions"], dtype=np.int64) for part in PARTS},
        )
        for one in content["folds"]
    ]
    check_folds(trials, folds, PROTOCOLS[content["protocol"]])
    return folds


def _split_fold(trials: Trials, split: Split, seed: int) -> Fold:
    present = set(trials.subject.tolist())
    for part in PARTS:
        if missing := sorted(set(getattr(split, part)) - present):
            raise TaskError(
                f"No recording of subject {', '.join(missing)} was found; the {part} part needs it."
            )
    index = {
        part: np.flatnonzero(np.isin(trials.subject, list(getattr(split, part)))) for part in PARTS
    }
    for part, expected in split.counts.items():
        if (found := trials.select(index[part]).counts()) != tuple(expected):
            raise TaskError(
                f"The {part} part has {found} windows of {trials.classes}; expected "
                f"{tuple(expected)}: recordings are missing, twice there, or of another length."
            )
    if not len(index["validation"]):
        rng = np.random.default_rng(seed)
        index["train"], index["validation"] = _hold_out(trials, index["train"], ("subject",), rng)
    return Fold(name="split", **index)


def _over_subjects(trials: Trials, protocol: str, n_splits: int, seed: int) -> Iterator[Fold]:
    """Every subject tested once: alone, or several at a time."""
    subjects = sorted_names(trials.subject)
    n_folds = len(subjects) if protocol == "loso" else n_splits
    if not 2 <= n_folds <= len(subjects):
        raise TaskError(
            f"There are {len(subjects)} subjects for {n_folds} folds; expected at least 2 folds "
            "and a subject for each: change n_splits, or choose protocol session or run."
        )
    if protocol == "kfold":
        # where a subject is of one class (patients, controls), every fold gets some of each
        most = {s: int(trials.select(trials.subject == s).y.mean() * 100) for s in subjects}
        shuffled = np.random.default_rng(seed).permutation(subjects).tolist()
        subjects = sorted(shuffled, key=lambda s: most[s])
    for i in range(n_folds):
        tested = subjects[i::n_folds]
        is_test = np.isin(trials.subject, tested)
        rng = np.random.default_rng([seed, i])
        train, validation = _hold_out(trials, np.flatnonzero(~is_test), ("subject",), rng)
        yield Fold(
            name=tested[0] if protocol == "loso" else f"{i + 1} of {n_folds}",
            train=train,
            validation=validation,
            test=np.flatnonzero(is_test),
        )


def _within_persons(trials: Trials, protocol: str, n_splits: int, seed: int) -> Iterator[Fold]:
    """Of every person the last session, or every run in turn."""
    if protocol == "run" and n_splits < 2:
        raise TaskError(f"n_splits={n_splits}; expected at least 2.")
    unit = trials.group(protocol)
    levels = ("session", "run") if protocol == "session" else ("run",)
    for number, subject in enumerate(sorted_names(trials.subject)):
        units = sorted_names(unit[trials.subject == subject])
        if len(units) < 2:
            continue
        n_folds = min(n_splits, len(units))
        tests = [units[i::n_folds] for i in range(n_folds)]
        if protocol == "session":
            tests = [units[-1:]]
        for i, tested in enumerate(tests):
            is_test = np.isin(unit, tested)
            design = np.flatnonzero((trials.subject == subject) & ~is_test)
            rng = np.random.default_rng([seed, number, i])
            train, validation = _hold_out(trials, design, levels, rng)
            yield Fold(
                name=", ".join(tested),
                train=train,
                validation=validation,
                test=np.flatnonzero(is_test),
            )


def _hold_out(
    trials: Trials, design: np.ndarray, levels: tuple[str, ...], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Set some of the windows to learn from apart: whole subjects, else whole sessions or runs.

    With nothing whole to set apart without losing a class, the last fifth of each class.
    """
    classes = set(trials.y[design].tolist())
    for level in levels:
        unit = trials.group(level)[design]
        names = sorted_names(unit)
        n = max(1, round(len(names) / _ONE_IN))
        fallback = None
        for _ in range(20 if len(names) > 1 else 0):
            apart = np.isin(unit, rng.permutation(names)[:n])
            if set(trials.y[design[~apart]].tolist()) != classes:
                continue
            if set(trials.y[design[apart]].tolist()) == classes:
                return design[~apart], design[apart]
            fallback = fallback if fallback is not None else apart
        if fallback is not None:
            return design[~fallback], design[fallback]
    last = [
        of_class[len(of_class) - len(of_class) // _ONE_IN :]
        for of_class in (design[trials.y[design] == label] for label in sorted(classes))
    ]
    validation = np.sort(np.concatenate([*last, np.empty(0, dtype=np.int64)]))
    return np.setdiff1d(design, validation), validation


def sorted_names(names: np.ndarray) -> list[str]:
    """Unique names, session 10 after session 2."""
    return sorted({str(name) for name in names.tolist()}, key=_words_and_numbers)


def _words_and_numbers(name: str) -> list[tuple[str, int]]:
    pieces = re.split(r"([0-9]+)", name)
    numbers = [*pieces[1::2], "0"]
    return [(word, int(number)) for word, number in zip(pieces[::2], numbers, strict=True)]


def _labels_digest(trials: Trials) -> str:
    parts = zip(trials.y.tolist(), trials.group("run").tolist(), strict=True)
    text = repr((trials.classes, list(parts)))
    return hashlib.sha256(text.encode()).hexdigest()


def _signals_digest(trials: Trials) -> str:
    digest = hashlib.sha256(repr((trials.x.shape, trials.ch_names)).encode())
    digest.update(np.ascontiguousarray(trials.x, dtype="<f4").tobytes())
    return digest.hexdigest()
