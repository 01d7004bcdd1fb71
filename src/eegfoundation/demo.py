"""The main job, on a recording that ships: what a newcomer runs first."""

from __future__ import annotations

from pathlib import Path

#: Seconds: as long as an imagined movement, and close enough to each other to see it come and go.
WINDOW, OVERLAP = 4.0, 2.0
NOTE = (
    "This recording is SIMULATED (eegfoundation.synthetic): a person who imagines moving the left "
    "hand, the right hand, the feet or the tongue, 4 s at a time."
)


def demo(out: str = "demo_output") -> None:
    """Run everything on a simulated recording: embeddings, class probabilities, a report.

    Parameters
    ----------
    out : str
        Folder for report.html, embeddings.npz and predictions.csv; earlier ones are replaced.
    """
    import textwrap
    import warnings

    from eegfoundation import embed, load_encoder, make_report, predict, read_recording
    from eegfoundation.errors import SimulatedTrainingWarning
    from eegfoundation.models.registry import shipped_path
    from eegfoundation.outputs import new_file, write_json
    from eegfoundation.prediction import load_classifier

    folder = Path(out)
    embeddings_path = folder / "embeddings.npz"
    predictions_path = folder / "predictions.csv"

    recording = read_recording(shipped_path("demo_data/motor_imagery.edf"))
    print(f"1. Read {recording.name}: {recording.duration:.0f} s, {recording.n_chans} channels.")
    print(textwrap.fill(NOTE, 78, initial_indent="   ", subsequent_indent="   "))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimulatedTrainingWarning)  # said below, once and plainly
        encoder, classifier = load_encoder("small"), load_classifier()
    classifier.attach_encoder(encoder)
    print("2. Filtering, resampling to 200 Hz, one token per sample, one vector per channel ...")
    embeddings = embed(recording, encoder, WINDOW, OVERLAP)
    embeddings.save(embeddings_path, overwrite=True)
    n_rows, n_chans, size = embeddings.values.shape
    print(f"   {n_rows} windows x {n_chans} channels x {size} values.")
    print("3. Asking a motor-imagery classifier, window by window ...")
    predictions = predict(recording, classifier)
    with new_file(predictions_path, overwrite=True) as unfinished:
        predictions.to_csv(unfinished, index=False, float_format="%.6g")
        history = predictions.attrs["history"]
        write_json(predictions_path.with_suffix(".preprocessing.json"), history, overwrite=True)
    print("4. Drawing the report ...")
    report_path = make_report(
        recording,
        folder / "report.html",
        model=encoder,
        embeddings=embeddings,
        predictions=predictions,
        note=NOTE,
        overwrite=True,
    )
    if "notice" in history["classifier"]:
        print()
        print(textwrap.fill(history["classifier"]["notice"], 78))
    print("\nWritten:")
    for path, what in (
        (report_path, "pictures of all of it: open it in a browser"),
        (embeddings_path, "a vector per window and channel"),
        (predictions_path, "class probabilities per window"),
    ):
        print(f"  {path}  {what}")
