"""Our rows in MOABB's benchmarks: pipelines for `evaluation.process`, and one command.

    python -m eegfoundation.integrations.moabb --dataset BNCI2014_001 --out results/moabb

MOABB (Mother of All BCI Benchmarks, https://moabb.neurotechx.com) brings data sets, splits and
scores; this gives it estimators, and a control with random weights. It has an environment of its
own here, since its dependencies contradict ours: `make test-integrations` makes it.

Ask its evaluation for epochs (``return_epochs=True``): they say where the electrodes are, how fast
was sampled, and whose trials they are, so that penalties are chosen on other subjects and alignment
is within a session. Arrays, MOABB's default, are in microvolts and know none of this: then `sfreq`
and `ch_names` are needed, and alignment, which has to take all subjects for one, is left out.

The paradigm's own filter comes first. Its default for motor imagery, 8 to 32 Hz, is far narrower
than what the encoder knows (0.3 to 75 Hz): widen it, for every pipeline alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eegfoundation.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

EVALUATIONS = ("CrossSubjectEvaluation", "CrossSessionEvaluation", "WithinSessionEvaluation")


def pipelines(
    model: str | Path = "small",
    *,
    sfreq: float | None = None,
    ch_names: Sequence[str] | None = None,
    twin: bool = True,
    **parameters: Any,
) -> dict[str, Pipeline]:
    """Make the pipelines of one encoder.

    Parameters
    ----------
    model : str | Path
        Shipped name, folder or hub id. (MOABB tells pipelines apart by how their parameters are
        printed, and two encoders in memory look alike.)
    sfreq : float | None
        Only for arrays: the rate that the paradigm gives, which is its ``resample``, else the data
        set's.
    ch_names : sequence of str | None
        Only for arrays: the channels that the paradigm gives, in its order.
    twin : bool
        Add the encoder with random weights.
    **parameters
        More parameters of `eegfoundation.estimators.EEGFoundationClassifier`, for all of them.

    Returns
    -------
    pipelines : dict of str to sklearn.pipeline.Pipeline
        A linear probe; for epochs, also with features standardised and signals whitened within
        each session (they look at the unlabelled trials of the session that is predicted).

    Examples
    --------
    >>> from eegfoundation.integrations.moabb import pipelines
    >>> list(pipelines(twin=False))
    ['EEGFoundation', 'EEGFoundation, standardise', 'EEGFoundation, euclidean+standardise']
    """
    from sklearn.pipeline import make_pipeline

    from eegfoundation.estimators import EEGFoundationClassifier
    from eegfoundation.models import load_encoder

    alignments = ("none", "standardise", "euclidean+standardise") if sfreq is None else ("none",)
    rows = {"EEGFoundation": str(model)} | ({"random twin": None} if twin else {})
    found = {}
    for name, weights in rows.items():
        for alignment in alignments:
            classifier = EEGFoundationClassifier(
                load_encoder(model, weights="random") if weights is None else weights,
                alignment=alignment,
                sfreq=sfreq,
                ch_names=ch_names,
                **parameters,
            )
            key = name if alignment == "none" else f"{name}, {alignment}"
            found[key] = make_pipeline(classifier)
    return found


def benchmark(
    dataset: Any = "BNCI2014_001",
    out: str = "results/moabb",
    evaluation: str = "CrossSubjectEvaluation",
    model: str = "small",
    fmin: float = 0.3,
    fmax: float = 75.0,
    twin: bool = True,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Evaluate an encoder on a motor-imagery data set of MOABB, which downloads it.

    Parameters
    ----------
    dataset : str | moabb.datasets.base.BaseDataset
        Name in `moabb.datasets`, or a data set.
    out : str
        Folder for <dataset>_<evaluation>.csv and for MOABB's own record, from which an interrupted
        evaluation goes on.
    evaluation : {"CrossSubjectEvaluation", "CrossSessionEvaluation", "WithinSessionEvaluation"}
        How MOABB splits.
    model : str
        Shipped name, folder or hub id of an encoder.
    fmin, fmax : float
        Hz, of MOABB's filter; the upper edge below half the data set's rate.
    twin : bool
        Also evaluate the encoder with random weights.
    overwrite : bool
        Compute again what MOABB has on record.

    Returns
    -------
    results : pandas.DataFrame
        MOABB's: one row per pipeline, subject, session and fold.

    Raises
    ------
    ConfigError
        If there is no such data set or evaluation, or MOABB is not installed.
    """
    try:
        from moabb import datasets, evaluations
        from moabb.paradigms import MotorImagery
    except ImportError:
        raise ConfigError(
            "MOABB is not installed; install it into an environment of its own: "
            "pip install -c constraints-integrations.txt -e . moabb."
        ) from None
    if evaluation not in EVALUATIONS:
        raise ConfigError(f"evaluation={evaluation!r}; choose one of {EVALUATIONS}.")
    if isinstance(dataset, str):
        if not hasattr(datasets, dataset):
            raise ConfigError(f"MOABB has no data set {dataset!r}; see moabb.datasets.")
        dataset = getattr(datasets, dataset)()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    results = getattr(evaluations, evaluation)(
        paradigm=MotorImagery(n_classes=len(dataset.event_id), fmin=fmin, fmax=fmax),
        datasets=[dataset],
        return_epochs=True,
        random_state=0,
        overwrite=overwrite,
        hdf5_path=str(folder),
    ).process(pipelines(model, twin=twin))
    results.to_csv(folder / f"{dataset.code}_{evaluation}.csv", index=False)
    return results


if __name__ == "__main__":
    from jsonargparse import auto_cli

    scores = auto_cli(benchmark).groupby("pipeline")["score"]
    print(scores.agg(["mean", "std", "count"]).round(3).to_string())
