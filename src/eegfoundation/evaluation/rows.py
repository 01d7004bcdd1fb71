"""What is compared: one row per model, strategy and alignment, all on the same windows and folds.

To compare something else, add a `Row` to the list that `make_rows` returns.

Features are computed when a row first asks for them and kept for its other folds; context vectors
also lie on disk (`eegfoundation.features`). What ours is compared with: `baseline_rows`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from eegfoundation.alignments import BANDS
from eegfoundation.errors import TaskError
from eegfoundation.evaluation.alignment import euclidean, standardise
from eegfoundation.evaluation.baseline_rows import (
    baseline_rows,
    components_of,
    flicker_correlations,
    once,
    tangent,
    whatever_fold,
)
from eegfoundation.evaluation.folds import Fold
from eegfoundation.evaluation.row import (
    ALIGNMENTS,
    STRATEGIES,
    Features,
    Material,
    Row,
    accuracy,
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
            [*baseline_rows(material), *_probes(material, twin=True)],
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


def _context(material: Material, alignment: str, *, twin: bool) -> Features:
    """Context vectors of all channels side by side; of the twin, the seed's initialisation."""
    given = material.given
    whitened = once(lambda: euclidean(given.x, material.session))
    heard = [(lambda: given.x) if alignment in ("none", "standardise") else whitened]
    if alignment == "components":
        heard.append(components_of(material))
    plain = alignment in ("none", "euclidean")

    @functools.lru_cache(maxsize=1)
    def of_seed(seed: int) -> np.ndarray:
        from eegfoundation.features import context_vectors
        from eegfoundation.models.registry import random_encoder

        encoder = random_encoder(material.encoder.config, seed) if twin else material.encoder
        label = f"random twin {seed}" if twin else material.model
        encoder = encoder.to(material.encoder.device)
        found = []
        for signals in heard:
            one = context_vectors(signals(), given.preprocessing, encoder, label=label)
            one = one if plain else standardise(one, material.session)
            found.append(one.reshape(len(one), -1))
        return np.hstack(found)

    return lambda _, seed: of_seed(seed if twin else 0)


def _probes(material: Material, *, twin: bool) -> Iterator[Row]:
    """Logistic regression on the frozen encoder's context vectors."""
    for alignment in ALIGNMENTS:
        if alignment != "riemann":
            yield linear_row(
                material,
                f"{material.model}, random weights" if twin else material.model,
                "random twin" if twin else "ours",
                alignment,
                _context(material, alignment, twin=twin),
                strategy="probe",
                seeded=twin,
            )


def _with_covariance(material: Material) -> Iterator[Row]:
    """The encoder hears each signal alone; how channels go together is told by their covariance.

    Two probes, their probabilities averaged: on the context vectors, and on what is known to
    suit several channels, tangent vectors in bands, or correlations with the flicker if there is
    one. What the encoder adds is the distance to the baseline of that name.
    """
    trials = material.given if material.plain is None else material.plain
    x = trials.x
    for alignment in ("none", "euclidean+standardise", "components"):
        if any(material.flicker_hz):
            together = _correlations(material, trials, standardised=alignment != "none")
        else:
            of_covariance = "none" if alignment == "none" else "riemann"
            together = tangent(material, x, lambda: x, of_covariance, BANDS)
        members = (_context(material, alignment, twin=False), together)
        yield Row(
            model=material.model,
            kind="ours",
            strategy="probe+covariance",
            alignment=alignment,
            predict=ensemble(material, members),
            members=members,
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
    @once
    def found() -> np.ndarray:
        features = flicker_correlations(material, trials)(trials.x)
        return standardise(features, material.session) if standardised else features

    return functools.partial(whatever_fold, found)


def _tuned(material: Material, strategy: str) -> Iterator[Row]:
    """Fine-tuned by `eegfoundation.finetuning`, one run per seed."""
    from eegfoundation.finetuning.settings import FinetuneSettings
    from eegfoundation.finetuning.training import mixed_precision

    # another machine may train in float32, and come to other digits
    note = "trained in bfloat16" if mixed_precision(FinetuneSettings()) else ""
    frozen = strategy == "head"  # what standardises context vectors needs them fixed
    for alignment in ("none", "euclidean+standardise" if frozen else "euclidean"):
        yield Row(
            model=material.model,
            kind="ours",
            strategy=strategy,
            alignment=alignment,
            predict=functools.partial(_fine_tune, material, strategy, alignment),
            seeded=True,
            note=note,
        )


def _fine_tune(
    material: Material, strategy: str, alignment: str, fold: Fold, seed: int
) -> tuple[np.ndarray, float]:
    from eegfoundation.finetuning.fitting import fit
    from eegfoundation.finetuning.predicting import predict_trials
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
