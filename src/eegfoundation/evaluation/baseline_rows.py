"""Rows of what ours has to beat, and the features that ours shares with them.

Baselines get the recording as it is, and as the encoder gets it, whose reference is part of the
model. Features are computed when a row first asks for them and kept for its other folds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.alignments import BANDS
from eegfoundation.evaluation import baselines
from eegfoundation.evaluation.alignment import euclidean, recentre, standardise
from eegfoundation.evaluation.components import components, masks_of
from eegfoundation.evaluation.folds import Fold
from eegfoundation.evaluation.row import (
    ALIGNMENTS,
    Features,
    Material,
    Row,
    accuracy,
    linear_row,
)

if TYPE_CHECKING:
    from eegfoundation.tasks import Trials


def baseline_rows(material: Material) -> Iterator[Row]:
    """Band power, tangent space and, where something flickers, canonical correlation."""
    mixed = components_of(material)
    for suffix, trials in material.sources():
        whitened = once(functools.partial(euclidean, trials.x, material.session))
        for name, bands in (("1-Hz bins", baselines.ONE_HERTZ), ("7 bands", BANDS)):
            for kind, piece in (("", None), (", Welch", baselines.WELCH_SECONDS)):
                power = functools.partial(
                    baselines.band_power, sfreq=trials.sfreq, bands=bands, piece=piece
                )
                model = f"band power, {name}{kind}{suffix}"
                yield from _aligned_rows(material, model, power, trials.x, whitened, mixed)
        yield from _tangent_rows(material, f"tangent space{suffix}", trials.x, whitened)
        if any(material.flicker_hz):
            flicker = flicker_correlations(material, trials)
            name = f"canonical correlation{suffix}"  # finds its mixture of channels by itself
            yield from _aligned_rows(material, name, flicker, trials.x, whitened, None)
            if sum(hz > 0 for hz in material.flicker_hz) > 1:  # else there is nothing to choose
                yield _training_free(material, name, flicker, trials.x)


def _aligned_rows(
    material: Material,
    model: str,
    features: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    whitened: Callable[[], np.ndarray],
    mixed: Callable[[], np.ndarray] | None,
) -> Iterator[Row]:
    """Rows of features that each window has by itself: of its channels, of components too."""
    plain = once(lambda: features(x))
    aligned: dict[str, Callable[[], np.ndarray]] = {
        "none": plain,
        "standardise": once(lambda: standardise(plain(), material.session)),
        "euclidean": (power := once(lambda: features(whitened()))),
        "euclidean+standardise": (full := once(lambda: standardise(power(), material.session))),
    }
    if mixed is not None:
        aligned["components"] = once(
            lambda: np.hstack([full(), standardise(features(mixed()), material.session)])
        )
    for alignment, found in aligned.items():
        yield linear_row(
            material, model, "baseline", alignment, functools.partial(whatever_fold, found)
        )


def _tangent_rows(
    material: Material, model: str, x: np.ndarray, whitened: Callable[[], np.ndarray]
) -> Iterator[Row]:
    for kind, bands in (("", None), (", 7 bands", BANDS)):
        for alignment in ALIGNMENTS[:-1]:  # a covariance holds all mixtures already
            features = tangent(material, x, whitened, alignment, bands)
            yield linear_row(
                material, model.replace("space", f"space{kind}"), "baseline", alignment, features
            )


def tangent(
    material: Material,
    x: np.ndarray,
    whitened: Callable[[], np.ndarray],
    alignment: str,
    bands: Sequence[tuple[float, float]] | None = None,
) -> Features:
    """Tangent vectors; their reference is the mean of the fold's windows to learn from."""

    @functools.cache
    def matrices() -> list[np.ndarray]:
        signal = whitened() if "euclidean" in alignment else x
        parts = [signal]
        if bands is not None:
            sfreq = material.given.sfreq
            parts = [baselines.band_pass(signal, sfreq, *band) for band in bands]
        found = [baselines.covariances(part) for part in parts]
        if alignment == "riemann":
            return [recentre(one, material.session) for one in found]
        return found

    def features(fold: Fold, _: int) -> np.ndarray:
        found = np.hstack([baselines.tangent_features(one, fold.design) for one in matrices()])
        return standardise(found, material.session) if "standardise" in alignment else found

    return features


def _training_free(
    material: Material, model: str, flicker: Callable[[np.ndarray], np.ndarray], x: np.ndarray
) -> Row:
    """The flicker that correlates most. It cannot know rest, so rest is not asked for."""
    classes = tuple(i for i, hz in enumerate(material.flicker_hz) if hz)
    correlations = once(lambda: flicker(x))

    def predict(fold: Fold, _: int) -> tuple[np.ndarray, float]:
        with np.errstate(divide="ignore"):
            found = np.log(correlations())
        asked = fold.design[np.isin(material.y[fold.design], classes)]
        guess = np.array(classes)[found[asked].argmax(1)]
        return found[fold.test], accuracy(material.y[asked], guess, material.n_classes)

    return Row(
        model=model,
        kind="baseline",
        strategy="training-free",
        alignment="none",
        predict=predict,
        classes=classes,
        note=f"only windows of {', '.join(material.given.classes[i] for i in classes)}",
    )


def components_of(material: Material) -> Callable[[], np.ndarray]:
    """Components of every session: of the flickers if there are some, else of the bands."""
    trials = material.given if material.plain is None else material.plain

    @once
    def mixed() -> np.ndarray:
        flickers = [hz for hz in material.flicker_hz if hz]
        masks = masks_of(trials.x.shape[-1], trials.sfreq, flickers)
        return components(trials.x, material.session, masks)

    return mixed


def flicker_correlations(material: Material, trials: Trials) -> Callable[[np.ndarray], np.ndarray]:
    """Correlations of windows with every flicker."""
    return functools.partial(
        baselines.canonical_correlations,
        sfreq=trials.sfreq,
        frequencies=[hz for hz in material.flicker_hz if hz],
        lowpass=trials.preprocessing.lowpass,
    )


def once(compute: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
    """Compute when first asked, then remember."""
    return functools.cache(compute)


def whatever_fold(compute: Callable[[], np.ndarray], _fold: Fold, _seed: int) -> np.ndarray:
    """Features that are the same for every fold and seed."""
    return compute()
