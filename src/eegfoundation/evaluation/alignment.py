"""Making recordings alike before anything is learnt from them, without labels.

People, caps and sessions differ more than the states that a task asks for. Alignment takes out of
each recording what all its windows share. It looks at the unlabelled windows of the recording
that is to be predicted, all of them: a result with alignment says so, and stands beside the one
without.

- *standardise*: each feature to mean 0 and deviation 1 within a recording.
- *euclidean*: each recording's mean covariance becomes the identity (He & Wu 2020,
  doi:10.1109/TBME.2019.2913914), then its former mean power, since amplitudes are words here.
- *riemann*: covariance matrices recentred by their geometric mean (Zanini et al. 2018,
  doi:10.1109/TBME.2017.2742541).
- *components*: euclidean, and beside the channels those mixtures of them in which a band stands out
  (`eegfoundation.evaluation.components`), then standardise.
"""

from __future__ import annotations

import warnings

import numpy as np


def standardise(features: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Standardise each feature within each group of windows.

    Parameters
    ----------
    features : ndarray, shape (n, ...)
        NaN where there is no value: it stays NaN.
    group : ndarray, shape (n,)
        Recording of each window.

    Returns
    -------
    aligned : ndarray, shape (n, ...)
    """
    result = np.empty_like(features)
    for one in np.unique(group):
        part = features[group == one]
        known = np.isfinite(part)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, part, 0).sum(0) / count
        deviation = np.sqrt((np.where(known, part - mean, 0) ** 2).sum(0) / count)
        result[group == one] = (part - mean) / (deviation + 1e-6)
    return result


def euclidean(x: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Whiten each group's signals by their mean covariance.

    Parameters
    ----------
    x : ndarray, shape (n, n_chans, n_times)
        Microvolts. Unusable samples (NaN) count as zero and come out as NaN; a channel without any
        usable sample in a whole group is left out of it.
    group : ndarray, shape (n,)

    Returns
    -------
    aligned : ndarray, shape (n, n_chans, n_times)
        Uncorrelated channels of equal power, which is the group's mean power of before.
    """
    result = np.empty_like(x)
    for one in np.unique(group):
        part = x[group == one]
        usable = np.isfinite(part)
        filled = np.where(usable, part, 0)
        present = usable.any((0, 2))
        if not filled.any():  # nothing to be whitened
            result[group == one] = part
            continue
        flat = filled[:, present].transpose(1, 0, 2).reshape(int(present.sum()), -1)
        flat = flat.astype(np.float64)
        covariance = flat @ flat.T / flat.shape[1]
        root = whitening(covariance)
        filled[:, present] = np.einsum("ij,njt->nit", root.astype(x.dtype), filled[:, present])
        result[group == one] = np.where(usable, filled, np.nan)
    return result


def whitening(covariance: np.ndarray) -> np.ndarray:
    """Matrix that makes channels uncorrelated and equally strong, at their mean power.

    Parameters
    ----------
    covariance : ndarray, shape (n_chans, n_chans)

    Returns
    -------
    root : ndarray, shape (n_chans, n_chans)
        To multiply signals by from the left.
    """
    values, vectors = np.linalg.eigh(covariance)
    # channels that depend on each other (an average reference) leave directions empty
    kept = values > 1e-6 * values[-1]
    root: np.ndarray = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    return root * np.sqrt(np.trace(covariance) / kept.sum())


def recentre(covariances: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Move the geometric mean of each group's covariances to the identity.

    Parameters
    ----------
    covariances : ndarray, shape (n, n_chans, n_chans)
        Symmetric, positive definite, or NaN: it stays NaN.
    group : ndarray, shape (n,)

    Returns
    -------
    recentred : ndarray, shape (n, n_chans, n_chans)
    """
    from pyriemann.geometry.base import invsqrtm

    result = np.full_like(covariances, np.nan)
    known = np.isfinite(covariances).all((1, 2))
    for one in np.unique(group[known]):
        which = known & (group == one)
        root = invsqrtm(geometric_mean(covariances[which]))
        result[which] = root @ covariances[which] @ root
    return result


def geometric_mean(covariances: np.ndarray) -> np.ndarray:
    """Affine-invariant mean of covariance matrices, (n, n_chans, n_chans) -> (n_chans, n_chans)."""
    from pyriemann.geometry.mean import mean_riemann

    with warnings.catch_warnings():
        # a point to look from need not be the mean to the last digit
        warnings.filterwarnings("ignore", message="Convergence not reached")
        return mean_riemann(covariances)
