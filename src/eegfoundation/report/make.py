"""One page about one recording: what it holds, what was done to it, what the models make of it.

`make_report` writes a single HTML file that needs no network: the pictures are inside. The same
recording and models give the same file: it bears no date and no random identifiers.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.outputs import new_file

if TYPE_CHECKING:
    import mne
    import pandas as pd

    from eegfoundation.embeddings import Embeddings
    from eegfoundation.models import EEGFoundationForClassification, EEGFoundationModel
    from eegfoundation.recording import Recording
    from eegfoundation.report.measures import Rows


def make_report(
    source: Any,
    path: str | Path = "report.html",
    *,
    model: str | Path | EEGFoundationModel = "small",
    classifier: EEGFoundationForClassification | None = None,
    window: float = 10.0,
    overlap: float = 0.0,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
    line_freq: float | None = None,
    embeddings: Embeddings | None = None,
    predictions: pd.DataFrame | None = None,
    note: str | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
) -> Path:
    """Write a page about a recording: one HTML file with everything inside.

    Parameters
    ----------
    source : path | mne.io.Raw | mne.Epochs | ndarray | Recording
        Anything that `read_recording` takes; a Recording as it was read, not preprocessed.
    path : str | Path
        The page to write.
    model : str | Path | EEGFoundationModel
        An encoder, or what `load_encoder` takes.
    classifier : EEGFoundationForClassification | None
        From `load_downstream_model`. None: a page without class probabilities.
    window, overlap : float
        Seconds, of the embeddings; the classifier uses the window that it was made for.
    sfreq, ch_names, units
        As in `read_recording`.
    line_freq : float | None
        Mains frequency in Hz for the notch; None: what the file says, else what is detected.
    embeddings : Embeddings | None
        Of this recording by this model, from `embed`, if computed already.
    predictions : pandas.DataFrame | None
        Of this recording, from `predict`, if computed already.
    note : str | None
        A sentence that readers should know first.
    overwrite : bool
        Replace an existing file.
    progress : bool | None
        Show progress bars; None: only on a terminal.

    Returns
    -------
    path : Path

    Raises
    ------
    EEGFoundationError
        If the source cannot be read or embedded, or the page cannot be written.

    Examples
    --------
    >>> import eegfoundation
    >>> from eegfoundation.prediction import load_classifier
    >>> eegfoundation.make_report(
    ...     "night.edf", "night.html", classifier=load_classifier()
    ... )  # doctest: +SKIP
    """
    from eegfoundation.embedding import prepare
    from eegfoundation.prediction import predict
    from eegfoundation.recording import Recording, read_recording
    from eegfoundation.report.measures import Rows

    path = Path(path)
    with new_file(path, overwrite=overwrite) as unfinished:
        if not isinstance(source, Recording):
            source = read_recording(source, sfreq=sfreq, ch_names=ch_names, units=units)
        recording, encoder = prepare(source, model, None, None, None, line_freq)
        if embeddings is None:
            rows = Rows.computed(recording, encoder, window, overlap, progress)
        else:
            rows = Rows.given(embeddings, recording)
        if predictions is None and classifier is not None:
            predictions = predict(source, classifier, line_freq=line_freq, progress=progress)
        page = _compose(source, recording, encoder, rows, predictions, note)
        page.save(unfinished, open_browser=False, overwrite=True, verbose="error")
        _replace_date(unfinished)
    return path


def report(
    file: str,
    out: str,
    model: str = "small",
    classifier: str | None = None,
    classifier_config: str | None = None,
    classes: bool = True,
    window: float = 10.0,
    overlap: float = 0.0,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
    line_freq: float | None = None,
    overwrite: bool = False,
) -> None:
    """Make one HTML page about a recording: signal, tokens, spectra, embeddings, classes.

    Parameters
    ----------
    file : str
        A recording, in any format that is read.
    out : str
        The page to write, such as report.html.
    model : str
        Shipped name, folder or hub id of an encoder.
    classifier : str | None
        Weights (.pth) of a classifier; default: the motor-imagery classifier that ships.
    classifier_config : str | None
        Its configuration (.json).
    classes : bool
        Show class probabilities.
    window : float
        Length of a window in seconds, for the embeddings.
    overlap : float
        Overlap of windows in seconds.
    sfreq : float | None
        Sampling rate in Hz, for .npy files; other files know theirs.
    ch_names : list of str | None
        Channels to use, in this order; for .npy files, the name of each channel.
    units : str | None
        Unit of the numbers in the file, if they are not what it claims: V, mV, uV or nV.
    line_freq : float | None
        Mains frequency in Hz; default: what the file says, else what is detected.
    overwrite : bool
        Replace an existing page.
    """
    from eegfoundation.prediction import load_classifier

    written = make_report(
        file,
        out,
        model=model,
        classifier=load_classifier(classifier, classifier_config) if classes else None,
        window=window,
        overlap=overlap,
        sfreq=sfreq,
        ch_names=ch_names,
        units=units,
        line_freq=line_freq,
        overwrite=overwrite,
    )
    print(f"{written}: open it in a browser")


def _compose(
    source: Recording,
    recording: Recording,
    encoder: EEGFoundationModel,
    rows: Rows,
    predictions: pd.DataFrame | None,
    note: str | None,
) -> mne.Report:
    """Put the page together."""
    import mne

    from eegfoundation.report import drawing, figures, measures
    from eegfoundation.report import page as words

    history = dict(rows.history)
    if predictions is not None:
        by_classifier = predictions.attrs["history"]
        history["classifier"] = {
            **by_classifier["classifier"],
            "windows": by_classifier["windows"],
        }
    page = mne.Report(title=f"EEGFoundation: {recording.name}", verbose="error")
    page.add_custom_css(words.CSS)
    page.add_custom_js(words.SCRIPT)
    page.add_html(words.summary(source, encoder, history, note), "Summary", tags=("eeg",))

    def add(title: str, figure: Any, by: str | None = None) -> None:
        caption = words.CAPTIONS[title]
        if by is not None and "notice" in history[by]:
            drawing.stamp(figure, words.stamp(history[by]))
            caption = f"{history[by]['notice']} {caption}"
        page.add_figure(figure, title, caption=caption, tags=("eeg",))

    def say(title: str, sentence: str) -> None:
        page.add_html(f"<p>{sentence}</p>", title, tags=("eeg",))

    axis = drawing.TimeAxis.of(rows.times, recording)
    classes = [] if predictions is None else history["classifier"]["classes"]
    colours = _colours(classes, recording)
    with drawing.style():
        add("Electrodes and quality", figures.electrodes_and_quality(recording, rows.quality, axis))
        x, times = measures.excerpt(recording, rows)
        add(
            "Signal and tokens",
            figures.signal_and_tokens(x, times, recording, encoder.tokenizer, colours),
        )
        spectra = [measures.spectrum(source), measures.spectrum(recording)]
        add("Spectra", figures.spectra(spectra, [source, recording]))
        found = measures.principal_components(rows.pooled)
        if found is None:
            say("Embedding over time", words.NO_MAP)
        else:
            alike = measures.similarity(axis.binned(rows.pooled.T)[0].T)
            figure = figures.embedding_map(*found, alike, axis, recording, colours)
            add("Embedding over time", figure, by="encoder")
        if predictions is None:
            say("Class probabilities", words.NO_CLASSIFIER)
        elif predictions["predicted"].isna().all():
            say("Class probabilities", words.NO_CLASSES)
        else:
            centres = ((predictions["start"] + predictions["stop"]) / 2).to_numpy()
            figure = figures.class_probabilities(
                predictions[[f"p_{name}" for name in classes]].to_numpy().T,
                classes,
                drawing.TimeAxis.of(centres, recording),
                recording,
                colours,
                predictions.attrs.get("attention"),
            )
            add("Class probabilities", figure, by="classifier")
    return page


def _colours(classes: list[str], recording: Recording) -> dict[str, str]:
    """Colour per class, and per event that is no class: the most frequent ones get their own."""
    from eegfoundation.report.drawing import PALETTE

    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(classes)}
    counts = Counter(text for _, _, text in recording.events if text not in colours)
    frequent = sorted(counts, key=lambda text: (-counts[text], text))
    return colours | dict(zip(frequent, PALETTE[len(classes) :], strict=False))


def _replace_date(path: Path) -> None:
    """Put a notice where MNE's footer has the date, which would make every page differ."""
    from eegfoundation import __version__

    text = path.read_text(encoding="utf-8")
    ours = f"<b>Not a medical device.</b> Made by EEGFoundation {__version__} with"
    path.write_text(re.sub(r"Created on [-0-9: ]+ via", ours, text), encoding="utf-8")
