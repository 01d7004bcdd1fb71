"""The page of results and its picture, made of the result files: no number on it was typed.

python -m eegfoundation.evaluation.page [results [docs/results.md]]
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eegfoundation.errors import TaskError
from eegfoundation.outputs import new_file

_INTRODUCTION = """# Results

Made from the files in `results/` by `python -m eegfoundation.evaluation.page`; nothing here was
typed. Every row of a table saw the same windows and the same folds.

![Balanced accuracy of every kind of model, with intervals over subjects.](results.png)

Shown is of every kind of model and strategy the row that validation chooses; ours are blue.

- **Alignment** looks at the unlabelled windows of the recording that is predicted, all of them.
  *none* does not. *standardise*: features to mean 0 and deviation 1 within a session; *euclidean*:
  signals whitened by the session's mean covariance; *euclidean+standardise*: one, then the other;
  *riemann*: covariances recentred by their
  geometric mean; *components*: *euclidean+standardise*, and beside the channels those mixtures
  of them, standardised, in which a band (a flicker, where there is one) stands out in the session,
  by spatio-spectral decomposition.
- **Validation** is balanced accuracy without any test window: cross-validated over the people to
  learn from (the probe and the baselines), or on the validation windows (what is fine-tuned). It
  chooses the row of each model that is marked **\\***, and the *best* baseline. The *highest*
  baseline is the one with the highest score on the test windows.
- **probe+covariance** averages the probabilities of two probes: on the context vectors, and on
  tangent vectors in seven bands (on correlations with the flicker, where there is one).
- **self-trained** rows also learn from the windows without labels: all that are tested, and those
  of the people to learn from that few shots leave out. Each model has such a row with the alignment
  that it is given in full.
- **95%** intervals are percentiles of 2,000 draws of test subjects; differences are paired. ± is
  the deviation over seeds.
- Shown are all rows of ours; of other models the row without alignment, the best one, and any that
  ours are compared with. Every row is in `results/<name>.json`.
- Baselines whose name ends in a reference got the recording as the encoder gets it, the others as
  it was recorded.
"""

_PEERS = """Networks of braindecode on the same windows and folds, each at its own rate and scale
(`benchmarks/peers.py`), trained on the training windows and stopped by the loss of the validation
windows. Intervals are of the same draws of subjects; differences to ours are not paired.
"""


def make_page(results: str | Path = "results") -> str:
    """Write the page of all results in a folder.

    Parameters
    ----------
    results : path
        Folder of what ``eegfoundation evaluate`` wrote.

    Returns
    -------
    page : str
        Markdown.

    Raises
    ------
    TaskError
        If a file there is no result.
    """
    sections = [_INTRODUCTION]
    for path, content, peers in read_results(results):
        with _must_be_a_result(path):
            sections.append(_section(path.stem, content, peers))
    return "\n".join(sections)


def read_results(
    results: str | Path,
) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any] | None]]:
    """Every result of a folder: its file, what it holds, and the table of networks beside it."""
    for path in sorted(Path(results).glob("*.json")):
        with _must_be_a_result(path):
            content = json.loads(path.read_text(encoding="utf-8"))
            if "peers_of" in content:
                _check_folds(path, content)
                continue
            beside = path.with_name(f"{path.stem}-peers.json")
            peers = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else None
        yield path, content, peers


@contextlib.contextmanager
def _must_be_a_result(path: Path) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, TaskError):
            raise
        raise TaskError(
            f"{path} is not a result of `eegfoundation evaluate`; move it elsewhere."
        ) from error


def _check_folds(path: Path, peers: Mapping[str, Any]) -> None:
    """Whether the table of peers is of the folds that lie there now."""
    folds = path.parent / peers["peers_of"] / "folds.json"
    found = hashlib.sha256(folds.read_bytes()).hexdigest() if folds.is_file() else None
    alone = not path.with_name(f"{peers['peers_of']}.json").exists()
    if alone or path.stem != f"{peers['peers_of']}-peers" or found != peers["folds_sha256"]:
        raise TaskError(
            f"{path} was made for other folds than those of {peers['peers_of']}; make it again "
            "with `make baselines`, or move it elsewhere."
        )


def _section(name: str, content: Mapping[str, Any], peers: Mapping[str, Any] | None = None) -> str:
    rows = _shown(content["rows"])
    counts, subjects = content["trial_counts"], content["subjects"]
    lines = [f"## {name}", "", f"{_capital(content['title'])}: {_setting(content)}", ""]
    if "notice" in content:
        lines += [f"**{content['notice']}**", ""]
    if len(counts) == 1:
        (parts,) = counts.values()
        (people,) = subjects.values()
        lines.append(_line(["part", "subjects", *content["classes"]]))
        lines += ["|---" * (2 + len(content["classes"])) + "|"]
        for part, windows in parts.items():
            cells = [part, str(len(people[part])), *(str(n) for n in windows.values())]
            lines.append(_line(cells))
    else:
        tested = [
            sum(one["test"][label] for one in counts.values()) for label in content["classes"]
        ]
        words = ", ".join(
            f"{n} {label}" for n, label in zip(tested, content["classes"], strict=True)
        )
        lines.append(f"Tested in {len(counts)} folds: {words}.")
    if content["left_out"]:
        lines += ["", f"In no fold, with too little to divide: {', '.join(content['left_out'])}."]
    lines += ["", *_table(rows), ""]
    lines += _differences(rows)
    lines += _origin(content)
    if peers is not None:
        lines += [_PEERS, *_table(_shown(peers["rows"])), "", *_origin(peers)]
    if "citation" in content:
        lines += [f"Recordings: {content['citation']}", ""]
    return "\n".join(lines)


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows for people: all of ours; of others those unaligned, best, or compared with ours."""
    compared = {
        (other["model"], other["strategy"], other["alignment"])
        for row in rows
        for other in row.get("differences", {}).values()
    }
    return [
        row
        for row in _sorted(rows)
        if row["kind"] == "ours"
        or row["best"]
        or row["alignment"] == "none"
        or (row["model"], row["strategy"], row["alignment"]) in compared
    ]


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -row["balanced_accuracy"])


def _origin(content: Mapping[str, Any]) -> list[str]:
    """What made a table."""
    versions = ", ".join(f"{name} {number}" for name, number in content["versions"].items())
    return ["```", content["command"], "```", "", f"{versions}.", ""]


def _setting(content: Mapping[str, Any]) -> str:
    words = [f"windows of {content['window_seconds']:g} s, {len(content['channels'])} channels"]
    split = f" {content['split']}" if content["split"] else ""
    words.append(f"protocol {content['protocol']}{split}")
    if content["shots"]:
        words.append(
            f"learnt from {content['shots']} labelled windows per class, {content['seeds']} draws"
        )
    return ", ".join(words) + "."


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| | model | kind | strategy | alignment | validation | balanced accuracy | 95% | AUROC "
        "| AUC-PR | kappa | weighted F1 | ECE | Brier |",
        "|---" * 14 + "|",
    ]
    for row in rows:
        accuracy = _number(row["balanced_accuracy"])
        if row["seeds"] > 1:
            accuracy += f" ± {_number(row['balanced_accuracy_sd'])}"
        cells = [
            "\\*" if row["best"] else "",
            row["model"] + (f" ({row['note']})" if "note" in row else ""),
            row["kind"],
            row["strategy"],
            row["alignment"],
            _number(row["validation_balanced_accuracy"]),
            f"**{accuracy}**" if row["kind"] == "ours" else accuracy,
            _ends(row["interval"]),
            *(_number(row[name]) for name in ("auroc", "auc_pr", "kappa", "weighted_f1")),
            *(_number(row["calibration"][name]) for name in ("ece", "brier")),
        ]
        lines.append(_line(cells))
    return lines


def _differences(rows: list[dict[str, Any]]) -> list[str]:
    """Ours above others."""
    lines = []
    for row in rows:
        for name, other in row.get("differences", {}).items():
            mark = " \\*" if row["best"] else ""
            cells = [
                f"{row['strategy']}, {row['alignment']}{mark}",
                name,
                f"{other['model']}, {other['strategy']}, {other['alignment']}",
                f"{other['mean']:+.3f}",
                _ends(other["interval"], sign="+"),
            ]
            lines.append(_line(cells))
    if not lines:
        return []
    return ["| ours | above | which is | difference | 95% |", "|---" * 5 + "|", *lines, ""]


def _line(cells: list[str]) -> str:
    """One line of a table; a user's labels may hold anything."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _ends(ends: list[float] | None, sign: str = "") -> str:
    return "" if ends is None else f"{ends[0]:{sign}.3f} to {ends[1]:{sign}.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def main(arguments: list[str]) -> None:
    """Write docs/results.md and, beside it, results.png, which says what page it belongs to."""
    from eegfoundation.evaluation.picture import plot_results

    source, target = [*arguments, *("results", "docs/results.md")[len(arguments) :]][:2]
    page = make_page(source)
    digest = hashlib.sha256(page.encode()).hexdigest()
    with new_file(Path(target).with_name("results.png"), overwrite=True) as unfinished:
        figure = plot_results(source)
        figure.savefig(unfinished, format="png", dpi=110, metadata={"Description": digest})
    with new_file(target, overwrite=True) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
