"""What is compared: one row per model, strategy and alignment, all on the same windows and folds.

To compare something else, add a `Row` to the list that `make_rows` returns.

Features are computed when a row first asks for them and kept for its other folds; context vectors
also lie on disk (`eegfoundation.features`). Baselines get the recording as it is, and as the
encoder gets it, whose reference is part of the model.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.errors import TaskError
from eegfoundation.evaluation import baselines
from eegfoundation.evaluation.alignment import euclidean, recentre, standardise
from eegfoundation.evaluation.components import band_masks, components, flicker_masks
from eegfoundation.evaluation.folds import Fold
from eegfoundation.evaluation.row import (
    ALIGNMENTS,
    STRATEGIES,
    Features,
    Material,
    Row,
    accuracy,
    averaged_row,
    ensemble,
    linear_row,
)

if TYPE_CHECKING:
    from eegfoundation.tasks import Trials


def make_rows(
    material: Material, strategies: Sequence[str], alignments: Sequence[str] = ALIGNMENTS
) -> list[Row]:
    """Everything that is compared.

    Parameters
    ----------
    material : Material
    strategies : sequence of str
        Of ours: some of `STRATEGIES`.
    alignments : sequence of str
        Some of `ALIGNMENTS`; a row has those that suit it.

    Returns
    -------
    rows : list of Row
        Baselines, the random twin, ours.

    Raises
    ------
    TaskError
        If a strategy or an alignment is unknown.
    """
    for name, asked, known in (
        ("strategies", strategies, STRATEGIES),
        ("alignments", alignments, ALIGNMENTS),
    ):
        if not asked or set(asked) - set(known):
            raise TaskError(f"{name}={list(asked)}; choose some of {list(known)}.")
    others, probes, averages = (
        [row for row in some if row.alignment in alignments]
        for some in (
            [*_baselines(material), *_probes(material, twin=True)],
            [*_probes(material, twin=False)],
            [*_with_covariance(material)],
        )
    )
    rows = others.copy()
    for strategy in dict.fromkeys(strategies):
        if strategy == "probe":
            rows += probes
        elif strategy == "probe+covariance":
            rows += averages
        elif strategy == "self-training":
            rows += _self_trained(material, [*others, *probes, *averages])
        else:
            rows += [row for row in _tuned(material, strategy) if row.alignment in alignments]
    return rows


def _baselines(material: Material) -> Iterator[Row]:
    mixed = _components(material)
    for suffix, trials in material.sources():
        whitened = _once(functools.partial(euclidean, trials.x, material.session))
        for name, bands in (("1-Hz bins", baselines.ONE_HERTZ), ("7 bands", baselines.BANDS)):
            for kind, piece in (("", None), (", Welch", baselines.WELCH_SECONDS)):
                power = functools.partial(
                    baselines.band_power, sfreq=trials.sfreq, bands=bands, piece=piece
                )
                model = f"band power, {name}{kind}{suffix}"
                yield from _aligned_rows(material, model, power, trials.x, whitened, mixed)
        yield from _tangent_rows(material, f"tangent space{suffix}", trials.x, whitened)
        if any(material.flicker_hz):
            flicker = _flicker(material, trials)
            name = f"canonical correlation{suffix}"  # of components it would be the same
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
    """Rows of features that each window has by itself.

    As they are, standardised, of whitened channels, of these and of components.
    """
    plain = _once(lambda: features(x))
    aligned: dict[str, Callable[[], np.ndarray]] = {
        "none": plain,
        "standardise": _once(lambda: standardise(plain(), material.session)),
        "euclidean": (power := _once(lambda: features(whitened()))),
        "euclidean+standardise": _once(lambda: standardise(power(), material.session)),
    }
    for alignment, found in aligned.items():
        yield linear_row(
            material, model, "baseline", alignment, functools.partial(_whatever_fold, found)
        )
    if mixed is not None:
        of_components = _once(lambda: standardise(features(mixed()), material.session))
        yield averaged_row(
            material,
            model,
            "baseline",
            "components",
            [
                functools.partial(_whatever_fold, found)
                for found in (aligned["euclidean+standardise"], of_components)
            ],
            strategy="logistic regression",
        )


def _tangent_rows(
    material: Material, model: str, x: np.ndarray, whitened: Callable[[], np.ndarray]
) -> Iterator[Row]:
    for kind, bands in (("", None), (", 7 bands", baselines.BANDS)):
        for alignment in ALIGNMENTS[:-1]:  # a component is a mixture, which changes no distance
            features = _tangent(material, x, whitened, alignment, bands)
            yield linear_row(
                material, model.replace("space", f"space{kind}"), "baseline", alignment, features
            )


def _tangent(
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
    correlations = _once(lambda: flicker(x))

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


def _components(material: Material) -> Callable[[], np.ndarray]:
    """Components of every session: of the flickers if there are some, else of the bands."""
    trials = material.given if material.plain is None else material.plain

    @_once
    def mixed() -> np.ndarray:
        freqs = np.fft.rfftfreq(trials.x.shape[-1], 1 / trials.sfreq)
        flickers = [hz for hz in material.flicker_hz if hz]
        masks = flicker_masks(freqs, flickers) if flickers else band_masks(freqs, baselines.BANDS)
        return components(trials.x, material.session, masks)

    return mixed


def _context(material: Material, alignment: str, *, twin: bool) -> Features:
    """Context vectors of all signals side by side; of the twin, the seed's initialisation.

    The signals are the channels or, for *components*, these alone.
    """
    given = material.given
    signals = _once(
        lambda: euclidean(given.x, material.session) if "euclidean" in alignment else given.x
    )
    if alignment == "components":
        signals = _components(material)

    @functools.lru_cache(maxsize=1)
    def of_seed(seed: int) -> np.ndarray:
        from eegfoundation.features import context_vectors
        from eegfoundation.models.registry import random_encoder

        encoder = random_encoder(material.encoder.config, seed) if twin else material.encoder
        found = context_vectors(
            signals(),
            given.preprocessing,
            encoder.to(material.encoder.device),
            label=f"random twin {seed}" if twin else material.model,
        )
        if "standardise" in alignment or alignment == "components":
            found = standardise(found, material.session)
        return found.reshape(len(found), -1)

    return lambda _, seed: of_seed(seed if twin else 0)


def _probes(material: Material, *, twin: bool) -> Iterator[Row]:
    """Logistic regression on the frozen encoder's context vectors."""
    model = f"{material.model}, random weights" if twin else material.model
    kind = "random twin" if twin else "ours"
    for alignment in ALIGNMENTS[:-2]:  # neither riemann nor components
        yield linear_row(
            material,
            model,
            kind,
            alignment,
            _context(material, alignment, twin=twin),
            strategy="probe",
            seeded=twin,
        )
    members = [
        _context(material, alignment, twin=twin)
        for alignment in ("euclidean+standardise", "components")
    ]
    yield averaged_row(material, model, kind, "components", members, strategy="probe", seeded=twin)


def _with_covariance(material: Material) -> Iterator[Row]:
    """The encoder hears each signal alone; how channels go together is told by their covariance.

    Probes whose probabilities are averaged: on the context vectors of channels (and components),
    and on what is known to suit several channels, tangent vectors in bands, or correlations with
    the flicker if there is one. What the encoder adds is the distance to the baseline of that name.
    """
    trials = material.given if material.plain is None else material.plain
    x = trials.x
    for alignment, heard, of_covariance in (
        ("none", ["none"], "none"),
        ("euclidean+standardise", ["euclidean+standardise"], "riemann"),
        ("components", ["euclidean+standardise", "components"], "riemann"),
    ):
        if any(material.flicker_hz):
            together = _correlations(material, trials, standardised=alignment != "none")
        else:
            together = _tangent(material, x, lambda: x, of_covariance, baselines.BANDS)
        members = [_context(material, one, twin=False) for one in heard]
        yield averaged_row(
            material,
            material.model,
            "ours",
            alignment,
            [*members, together],
            strategy="probe+covariance",
        )


def _self_trained(material: Material, rows: Sequence[Row]) -> Iterator[Row]:
    """Everything with a probe once more, taught by windows without labels as well.

    Those that are aligned as far as they can be: they have looked at those windows before.
    """
    fullest: dict[tuple[str, str], Row] = {}
    for row in rows:
        named = row.model, row.strategy
        before = fullest.get(named, row)
        if row.members and ALIGNMENTS.index(row.alignment) >= ALIGNMENTS.index(before.alignment):
            fullest[named] = row
    for row in fullest.values():
        yield dataclasses.replace(
            row,
            strategy=f"{row.strategy}, self-trained",
            predict=ensemble(material, row.members, self_training=True),
            members=(),
        )


def _correlations(material: Material, trials: Trials, *, standardised: bool) -> Features:
    @_once
    def found() -> np.ndarray:
        features = _flicker(material, trials)(trials.x)
        return standardise(features, material.session) if standardised else features

    return functools.partial(_whatever_fold, found)


def _flicker(material: Material, trials: Trials) -> Callable[[np.ndarray], np.ndarray]:
    """Correlations of windows with every flicker."""
    return functools.partial(
        baselines.canonical_correlations,
        sfreq=trials.sfreq,
        frequencies=[hz for hz in material.flicker_hz if hz],
        lowpass=trials.preprocessing.lowpass,
    )


def _tuned(material: Material, strategy: str) -> Iterator[Row]:
    """Fine-tuned by `eegfoundation.finetuning`, one run per seed."""
    frozen = strategy == "head"  # what standardises context vectors needs them fixed
    for alignment in ("none", "euclidean+standardise" if frozen else "euclidean"):
        yield Row(
            model=material.model,
            kind="ours",
            strategy=strategy,
            alignment=alignment,
            predict=functools.partial(_fine_tune, material, strategy, alignment),
            seeded=True,
        )


def _fine_tune(
    material: Material, strategy: str, alignment: str, fold: Fold, seed: int
) -> tuple[np.ndarray, float]:
    from eegfoundation.finetuning.fitting import fit, predict_trials
    from eegfoundation.finetuning.settings import FinetuneSettings

    settings = FinetuneSettings(strategy=strategy, alignment=alignment, seed=seed)
    if material.epochs is not None:
        settings = dataclasses.replace(settings, epochs=material.epochs)
    given = material.given
    model = fit(
        given, fold.train, fold.validation, material.encoder, settings, config=material.config
    )
    # with a few labelled windows nothing may be left to validate by
    asked = fold.validation if len(fold.validation) else fold.train
    guess = predict_trials(model, given, asked).argmax(1)
    log_proba = np.log(np.maximum(predict_trials(model, given, fold.test), 1e-38))
    return log_proba, accuracy(material.y[asked], guess, material.n_classes)


def _once(compute: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
    """Compute when first asked, then remember."""
    return functools.cache(compute)


def _whatever_fold(compute: Callable[[], np.ndarray], _fold: Fold, _seed: int) -> np.ndarray:
    return compute()
