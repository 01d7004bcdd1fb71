"""Words and looks of the report: the summary in plain sentences, captions, and the style sheet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eegfoundation.models import EEGFoundationModel
    from eegfoundation.recording import Recording

CAPTIONS = {
    "Electrodes and quality": (
        "Left: where the electrodes sit (nose up; a red cross marks a channel declared bad). The "
        "colours return in the spectra: neighbours look alike. Right: how much of each channel and "
        "window is usable; red stretches are left out of everything below."
    ),
    "Signal and tokens": (
        "The same seconds twice. Above, the filtered traces (positive up); gaps are samples that "
        "cannot be trusted. Below, what the model reads instead of numbers: every sample's "
        "amplitude becomes one of 2,000 tokens, red for positive and blue for negative voltages. "
        "Rhythms appear as stripes, blinks as wide bands across the frontal rows."
    ),
    "Spectra": (
        "One line per channel, coloured as in the electrode map (dotted grey: bad). A bump near 10 "
        "Hz is the alpha rhythm; a spike at the dashed line is mains hum, which the notch should "
        "have removed on the right."
    ),
    "Embedding over time": (
        "Every window becomes one vector (the mean over good channels). Top left: its two main "
        "directions of change; the colour is time. Top right: correlation between all pairs of "
        "windows: red blocks along the diagonal are stretches that look alike to the model "
        "(overlapping windows always do). Below: the main directions over time, to be compared "
        "with the events, if there are any."
    ),
    "Class probabilities": (
        "For every window, how the classifier divides its confidence; the heights add up to 1. It "
        "knows these classes only, and must choose among them whatever the recording shows. The "
        "head, drawn where positions are known, shows which electrodes it drew on, averaged over "
        "windows."
    ),
}

NO_MAP = (
    "No map: at least three windows with a usable channel are needed, and they have to differ. A "
    "shorter window gives more of them."
)
NO_CLASSIFIER = "No classifier was asked."
NO_CLASSES = "No window has a usable channel: there is nothing to classify."

CSS = """
:root { --ink: #1f2933; --muted: #6b7785; --bad: #c0392b; --accent: #2a7f87; }
body { color: var(--ink); background: #fff; }
#filter-by-tags-dropdown-menu, #content .badge, .navbar-brand img { display: none !important; }
.navbar-brand .fs-3 { font-size: 1.15rem !important; font-weight: 600; }
#toc-navbar .nav-link { border: 0; padding: .35rem .6rem; font-size: .92rem; }
#toc-navbar .nav-link.active { background: var(--accent); color: #fff; }
#content { max-width: 1240px; }
.accordion-item { border: 0; margin-bottom: 1.6rem; }
.accordion-button, .accordion-button:not(.collapsed) {
  background: none; box-shadow: none; border-bottom: 2px solid var(--accent); padding-left: 0; }
.accordion-button a { color: var(--ink); font-size: 1.25rem; font-weight: 600; }
.accordion-body { padding: 1rem 0 0 0; }
.figure { width: 100%; margin: 0 auto; }
.figure-img { width: 100%; border-radius: 0 !important; }
.figure-caption { text-align: left !important; max-width: 60rem; margin: .7rem 0 0;
  color: var(--muted); font-size: .95rem; line-height: 1.5; }
.eegf-notice { border: 3px solid var(--bad); background: #fdecea; color: #7b1a10;
  padding: .9rem 1.2rem; margin-bottom: 1.2rem; border-radius: 6px; font-size: 1.05rem; }
.eegf-notice strong { display: block; font-size: 1.3rem; letter-spacing: .02em; }
.eegf-note { border-left: 4px solid var(--accent); background: #eef5f5; padding: .7rem 1.2rem; }
.eegf-lead { font-size: 1.1rem; margin-bottom: 1rem; }
.eegf-table { border-collapse: collapse; width: 100%; margin-bottom: 1rem; }
.eegf-table th { font-weight: 600; text-align: left; vertical-align: top; width: 14rem;
  padding: .32rem 1rem .32rem 0; }
.eegf-table td { padding: .32rem 0; overflow-wrap: anywhere; }
.eegf-table tr { border-bottom: 1px solid #e8ebee; }
.eegf-table .group th { color: var(--accent); padding-top: 1.1rem; }
.eegf-table .group { border-bottom: 1px solid var(--accent); }
details pre { background: #f6f8f9; padding: 1rem; font-size: .8rem; max-height: 24rem; }
details summary { color: var(--muted); cursor: pointer; }
"""

#: MNE's page hides everything at the key "t" (a filter by tags, which this page does not use).
SCRIPT = """
window.addEventListener("keydown", (event) => {
  if (event.code === "KeyT") { event.stopImmediatePropagation(); }
}, true);
"""

Line = tuple[str, str]


def summary(
    source: Recording, encoder: EEGFoundationModel, history: dict[str, Any], note: str | None
) -> str:
    """HTML of the page's first part: notices, then what was read, done and left undone.

    Parameters
    ----------
    source : Recording
        As read.
    encoder : EEGFoundationModel
    history : dict
        Of the preprocessed recording and the encoder, and "classifier" if there was one.
    note : str | None
        A sentence that readers should know first.

    Returns
    -------
    html : str
    """
    noticed = [
        stage for stage in (history["encoder"], history.get("classifier", {})) if "notice" in stage
    ]
    parts = []
    if noticed:
        heading = " · ".join(dict.fromkeys(stamp(stage) for stage in noticed))
        sentences = "<br>".join(escape(stage["notice"]) for stage in noticed)
        parts.append(
            f'<div class="eegf-notice" role="alert"><strong>{heading}</strong>{sentences}</div>'
        )
    if note is not None:
        parts.append(f'<p class="eegf-note">{escape(note)}</p>')
    parts.append(f'<p class="eegf-lead">{escape(_lead(source))} <b>Not a medical device.</b></p>')
    groups = {
        "Read": _reading(source, history["reading"]),
        "Preprocessed": _preprocessing(history["preprocessing"]),
        "Cut into windows": _windows(history["windows"]),
        "Models": _models(encoder, history),
    }
    rows = []
    for title, lines in groups.items():
        rows.append(f'<tr class="group"><th colspan="2">{title}</th></tr>')
        rows += [f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in lines]
    parts.append(f'<table class="eegf-table">{"".join(rows)}</table>')
    record = escape(json.dumps(history, indent=2, ensure_ascii=False))
    parts.append(
        f"<details><summary>The same as a JSON record</summary><pre>{record}</pre></details>"
    )
    return "".join(parts)


def _lead(source: Recording) -> str:
    length = _duration(source.duration)
    if source.n_epochs is not None:
        length = f"{source.n_epochs} epochs of {source.n_times / source.sfreq:.3g} s"
    channels = "1 channel" if source.n_chans == 1 else f"{source.n_chans} channels"
    return f"{source.name}: {length} of EEG, {channels} at {source.sfreq:g} Hz."


def _reading(source: Recording, reading: dict[str, Any]) -> list[Line]:
    counts = Counter(text for _, _, text in source.events).most_common()
    seconds = float((source.bad_segments[:, 1] - source.bad_segments[:, 0]).sum())
    segments = f"{len(source.bad_segments)}, {_duration(seconds)} in all: left out"
    return [
        ("format", reading["format"]),
        ("unit", "µV" if reading["units"] == "uV" else f"{reading['units']}, converted to µV"),
        ("channels", _some(source.ch_names, 300)),
        ("renamed", _some(f"{a} → {b}" for a, b in reading["renamed"].items())),
        ("left out", _some(f"{name} ({why})" for name, why in reading["dropped"].items())),
        ("bad channels", _some(source.bads)),
        ("position unknown", _some(reading["positions_unknown"])),
        ("bad segments", segments if len(source.bad_segments) else "none"),
        ("events", _some((f"{text} ({n} times)" for text, n in counts), 12)),
        *(("contradiction", text) for text in reading.get("contradictions", [])),
        *(("note", note) for note in [*reading["reader_warnings"], *reading["notes"]]),
    ]


def _preprocessing(done: dict[str, Any]) -> list[Line]:
    low, high = done["highpass"], done["lowpass"]
    band = [
        "not high-passed" if low is None else f"high-pass {low:g} Hz",
        "not low-passed" if high is None else f"low-pass {high:g} Hz",
    ]
    source = {
        "argument": "as you said",
        "settings": "the model's setting",
        "file": "as the file says",
        "detected": "detected in the signal",
        "none found": "no mains peak was found in the signal",
        "off": "switched off",
    }[done["line_freq_source"]]
    frequencies = ", ".join(f"{freq:g} Hz" for freq in done["notch"])
    before, after = done["sfreq_before"], done["sfreq"]
    rate = f"{before:g} → {after:g} Hz" if before != after else f"not needed, {after:g} Hz already"
    limit = done["artefact_uv"]
    return [
        ("filter", ", ".join(band)),
        ("mains notch", f"{frequencies or 'none'} ({source})"),
        ("resampled", rate),
        ("reference", done["reference"]),
        ("artefact rule", "off" if limit is None else f"beyond ±{limit:g} µV: sample not used"),
        *(("contradiction", text) for text in done.get("contradictions", [])),
        *(("note", note) for note in done["notes"]),
    ]


def _windows(log: dict[str, Any]) -> list[Line]:
    total = max(log["n_samples"], 1)
    unusable = [
        f"{why.replace('artefact_uv', 'the artefact limit')} {n / total:.2%}"
        for why, n in log["unusable"].items()
        if n
    ]
    overlap = f", overlapping by {log['overlap']:g} s" if log["overlap"] else ""
    lines = [
        ("windows", f"{log['n_windows']} of {log['window']:g} s{overlap}"),
        ("samples not used", _some(unusable)),
        ("empty windows", str(log["n_empty"] or "none")),
    ]
    if log["tail_seconds"]:
        lines.append(("not covered", f"the last {log['tail_seconds']:.3g} s"))
    return lines + [("note", note) for note in log["notes"]]


def stamp(described: dict[str, Any]) -> str:
    """Say in few words what is the matter with a model that has a notice."""
    return "TRAINED ON SIMULATIONS" if described["trained"] else "UNTRAINED WEIGHTS"


def _models(encoder: EEGFoundationModel, history: dict[str, Any]) -> list[Line]:
    tokenizer = encoder.tokenizer
    described = history["encoder"]
    state = "trained" if described["trained"] else "UNTRAINED"
    lines = [
        ("tokenizer", f"{tokenizer.scaling}, 2,000 amplitude bins, one token per sample"),
        ("encoder", f"{described['name']}, {state}, sha256 {described['sha256'][:16]}…"),
        ("embedding", f"{encoder.config.context_size} values per channel and window"),
    ]
    if (found := history.get("classifier")) is None:
        return [*lines, ("classifier", "none")]
    state = f"trained on {found['trained_on'] or 'data'}" if found["trained"] else "UNTRAINED"
    log = found["windows"]
    windows = f"{log['n_windows']} windows of {log['window']:g} s"
    return [*lines, ("classifier", f"{state}; classes {', '.join(found['classes'])}; {windows}")]


def _some(items: Iterable[str], most: int = 60) -> str:
    """Comma-separated, "none" if there are none, cut short if there are very many."""
    found = list(items)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) + more) or "none"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
