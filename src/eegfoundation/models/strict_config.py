"""Configurations that refuse what nobody reads.

Hugging Face configurations (``config.json``, ``from_pretrained``), with one difference: an unknown
key is an error, not a silent attribute. A configuration that lies is worse than none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig

from eegfoundation.errors import CheckpointError, ConfigError
from eegfoundation.paths import check_path

# What transformers itself writes into or passes along with a config.json
_LIBRARY_KEYS = {
    "_attn_implementation",
    "_commit_hash",
    "_name_or_path",
    "attn_implementation",
    "model_type",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "torch_dtype",
    "use_cache",  # its Trainer sets this on any model
}

# No width, depth or length is larger; a damaged file must not make anyone allocate terabytes
_LARGEST = 2**20


class StrictConfig(PreTrainedConfig):
    """A configuration that refuses keys it does not know."""

    def __post_init__(self, **kwargs: Any) -> None:
        model_type = kwargs.get("model_type", self.model_type)
        if model_type != self.model_type:
            raise ConfigError(
                f"Found model_type {model_type!r}; {type(self).__name__} reads "
                f"{self.model_type!r} only."
            )
        unknown = sorted(set(kwargs) - _LIBRARY_KEYS)
        if unknown:
            raise ConfigError(
                f"Unknown keys {unknown} in a configuration of {self.model_type!r}; remove them."
            )
        try:
            super().__post_init__(**kwargs)
        # such as a dtype that PyTorch does not have, or a label whose key is no number
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"A configuration of {self.model_type!r} cannot be used: {error}."
            ) from error
        if not isinstance(self.dtype, torch.dtype | None):  # "nan" is a name in PyTorch too
            raise ConfigError(f"dtype={self.dtype!r}; a name such as 'float32' is needed.")

    def _require_whole(self, minimum: int, *names: str, maximum: int = _LARGEST) -> None:
        for name in names:
            value = getattr(self, name)
            if type(value) is not int or not minimum <= value <= maximum:
                raise ConfigError(
                    f"{name}={value!r}; a whole number from {minimum} to {maximum:,} is needed."
                )

    def _require_number(self, low: float, high: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if type(value) not in (int, float) or not low <= value < high:
                raise ConfigError(
                    f"{name}={value!r}; a number of at least {low:g} and below {high:g} is needed."
                )

    @classmethod
    def get_config_dict(cls, name_or_path: Any, **kwargs: Any) -> Any:
        """Read the ``config.json`` of a checkpoint; transformers takes a missing one for empty.

        Raises
        ------
        CheckpointError
            If there is no readable ``config.json`` with a ``model_type``.
        """
        try:
            values, unused = super().get_config_dict(name_or_path, **kwargs)
        except (OSError, TypeError, ValueError, RecursionError) as error:  # missing, or no object
            first_line = str(error).strip().splitlines()[0]
            raise CheckpointError(
                f"Cannot load {name_or_path}: {first_line.rstrip('.')}; is it a whole checkpoint?"
            ) from error
        if "model_type" not in values:
            raise CheckpointError(
                f"Cannot load {name_or_path}: found no config.json with a model_type."
            )
        return values, unused

    @classmethod
    def from_json_file(cls, json_file: str | Path) -> Any:
        """Read a configuration from a JSON file.

        Raises
        ------
        ConfigError
            If the file is missing or no JSON object, or a key is unknown.
        """
        path = Path(json_file)
        if os.path.exists(path):
            check_path(path, ConfigError)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"Configuration {path} not found; check the path.") from None
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"Configuration {path} is no valid JSON: {error}.") from None
        except (OSError, ValueError) as error:  # the latter of a NUL in the path
            raise ConfigError(f"Configuration {str(path)!r} cannot be read: {error}.") from error
        if not isinstance(values, dict):
            raise ConfigError(f"Configuration {path} holds no JSON object of settings.")
        return cls(**values)
