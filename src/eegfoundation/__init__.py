"""EEGFoundation: a foundation model for EEG.

>>> import eegfoundation
>>> recording = eegfoundation.read_recording("demo_data/motor_imagery.edf")
>>> recording.n_chans, recording.sfreq
(22, 250.0)

Names are imported when they are used: ``import eegfoundation`` loads neither PyTorch nor MNE.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eegfoundation.embedding import embed
    from eegfoundation.embeddings import Embeddings
    from eegfoundation.errors import (
        EEGFoundationError,
        SimulatedTrainingWarning,
        UntrainedWeightsWarning,
    )
    from eegfoundation.estimators import EEGFoundationClassifier, EEGFoundationFeatures
    from eegfoundation.models import load_downstream_model, load_encoder
    from eegfoundation.prediction import predict
    from eegfoundation.preprocessing import Preprocessing, preprocess
    from eegfoundation.recording import Recording, read_recording
    from eegfoundation.report import make_report
    from eegfoundation.tokenizer import AmplitudeTokenizer

__version__ = "0.2.0"

__all__ = [
    "AmplitudeTokenizer",
    "EEGFoundationClassifier",
    "EEGFoundationError",
    "EEGFoundationFeatures",
    "Embeddings",
    "Preprocessing",
    "Recording",
    "SimulatedTrainingWarning",
    "UntrainedWeightsWarning",
    "embed",
    "load_downstream_model",
    "load_encoder",
    "make_report",
    "predict",
    "preprocess",
    "read_recording",
]

_HOME = {
    "AmplitudeTokenizer": "tokenizer",
    "EEGFoundationClassifier": "estimators",
    "EEGFoundationError": "errors",
    "EEGFoundationFeatures": "estimators",
    "Embeddings": "embeddings",
    "Preprocessing": "preprocessing",
    "Recording": "recording",
    "SimulatedTrainingWarning": "errors",
    "UntrainedWeightsWarning": "errors",
    "embed": "embedding",
    "load_downstream_model": "models",
    "load_encoder": "models",
    "make_report": "report",
    "predict": "prediction",
    "preprocess": "preprocessing",
    "read_recording": "recording",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
