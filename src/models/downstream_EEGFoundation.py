"""The published import path, kept for existing scripts (run from the root of the repository)."""

from eegfoundation.models import EEGFoundationForClassification, load_downstream_model

__all__ = ["EEGFoundationForClassification", "load_downstream_model"]
