"""Saving and sharing a model together with the account of its training.

Weights that nobody can trace are worth little: beside them lie ``run.json`` (how they were made),
``training_data.json`` (every recording that they saw) and ``README.md``, the card that a hub shows.
All three belong to one set of weights. They travel on while the weights stay as they were loaded;
weights that were changed since get a card that says so, and never an account of others.

transformers' own ``push_to_hub`` would replace the card by a template: the one here uploads exactly
the folder that `SharedModel.save_pretrained` writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from transformers import PreTrainedModel
from transformers.utils import cached_file, logging

from eegfoundation.checksums import write_sums
from eegfoundation.errors import CheckpointError, EEGFoundationError, OutputError
from eegfoundation.outputs import new_folder

logger = logging.get_logger(__name__)

#: Arguments of from_pretrained that say where files come from.
WHERE_FROM = (
    *("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token"),
)

#: How a hub's pages call this library: a card with that name is one of ours.
LIBRARY = "eegfoundation"
#: Stands in a card's code for the folder or hub id, until the model is pushed to one.
PLACEHOLDER = "OWNER/NAME"

CONFIG, WEIGHTS = "config.json", "model*.safetensors*"
CARD, RUN, TRAINING_DATA, CURVES = "README.md", "run.json", "training_data.json", "curves.png"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' bars and load report: what matters of them is raised as an error."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


class SharedModel(PreTrainedModel):
    """A model that keeps the account of its training."""

    #: Name and whereabouts that the weights were loaded from.
    _origin: tuple[str, dict[str, Any]] | None = None

    @classmethod
    def from_pretrained(cls, name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load weights, and remember where they came from."""
        where = {name: kwargs[name] for name in WHERE_FROM if name in kwargs}
        loaded = super().from_pretrained(name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model._origin = (str(name_or_path), where)
        return loaded

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        run: Mapping[str, Any] | None = None,
        training_data: Mapping[str, Any] | None = None,
        results: str | Path | None = None,
        license: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Save weights, configuration, the account of the training and a card as a folder.

        Takes the arguments of `transformers.PreTrainedModel.save_pretrained` as well. With
        ``state_dict``, as a trainer saves its checkpoints, nothing but the model is written.

        Parameters
        ----------
        save_directory : str | Path
            Where to write ``config.json``, ``model.safetensors``, ``README.md`` and, where known,
            ``run.json`` and ``training_data.json``; complete, or not at all.
        run, training_data : mapping | None
            Account of the training and of its recordings, as `eegfoundation pretrain` and
            `finetune` write them. None: those that came with these weights, if there were any.
        results : str | Path | None
            Folder of what `eegfoundation evaluate` wrote; scores of these very weights go into the
            card.
        license : str | None
            Of the weights, as a hub calls it ("apache-2.0", "cc-by-4.0"); their owner decides.

        Raises
        ------
        OutputError
            If the folder holds the account of other weights.
        """
        if kwargs.pop("push_to_hub", False):
            raise OutputError(
                "save_pretrained writes a folder only; call push_to_hub(repo_id) to upload the "
                "model with its card."
            )
        folder = Path(save_directory)
        unfinished = kwargs.get("state_dict") is not None
        if unfinished or not kwargs.get("is_main_process", True):
            with quiet():
                super().save_pretrained(folder, **kwargs)
            return
        files = self._account(run, training_data, results, license)
        foreign = [n for n in (RUN, TRAINING_DATA) if n not in files and (folder / n).exists()]
        if foreign:
            raise OutputError(
                f"{folder} holds {' and '.join(foreign)} of other weights; choose another folder, "
                "or move it elsewhere."
            )
        if _is_foreign(folder / CARD):
            logger.warning(f"{folder / CARD} is no card of ours and stays as it is.")
            del files[CARD]
        with new_folder(folder, last=CONFIG, replaced=[WEIGHTS]) as saved:
            with quiet():
                super().save_pretrained(saved, **kwargs)
            write_sums(saved, [path.name for path in saved.glob("*.safetensors")])
            for name, content in files.items():
                (saved / name).write_bytes(content)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: bool | str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        commit_message: str | None = None,
        commit_description: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Upload what `save_pretrained` writes to a hub.

        Parameters
        ----------
        repo_id : str
            ``owner/name``; made if it does not exist.
        private : bool | None
            Of a new repository; None: the owner's default.
        token : bool | str | None
            None: that of ``hf auth login``.
        revision : str | None
            Branch; None: the main one.
        create_pr : bool
            Propose the upload as a pull request.
        commit_message, commit_description : str | None
        **kwargs
            Of `save_pretrained`: run, training_data, results, license, max_shard_size.

        Returns
        -------
        commit : huggingface_hub.CommitInfo

        Raises
        ------
        CheckpointError
            If others could not load it, as it needs an encoder that lies on this machine only.
        """
        self._check_shareable()
        api = HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, **kwargs)
            card = Path(folder) / CARD
            card.write_text(card.read_text("utf-8").replace(PLACEHOLDER, repo_id), "utf-8")
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            return api.upload_folder(
                folder_path=folder,
                repo_id=repo_id,
                revision=revision,
                create_pr=create_pr,
                commit_message=commit_message or f"Upload {type(self).__name__}",
                commit_description=commit_description,
            )

    def _check_shareable(self) -> None:
        encoder = getattr(self.config, "encoder", None)
        tuned = getattr(self.config, "encoder_tuned", False)
        if encoder and not tuned and (Path(encoder).is_absolute() or os.path.isdir(encoder)):
            raise CheckpointError(
                f"This classifier needs the encoder in {encoder}, which nobody else has; push that "
                "one first and set config.encoder to its hub id."
            )

    def _account(
        self,
        run: Mapping[str, Any] | None,
        training_data: Mapping[str, Any] | None,
        results: str | Path | None,
        license: str | None,
    ) -> dict[str, bytes]:
        """Content of the files that belong to these weights."""
        from eegfoundation.models.card import model_card  # which describes what is made of this

        nothing_new = all(value is None for value in (run, training_data, results, license))
        files = self._files_of_origin() if run is None and training_data is None else {}
        changed_from = None
        if files and not self._is_as_loaded():
            files, changed_from = {}, self._origin
        given = {
            n: one for n, one in ((RUN, run), (TRAINING_DATA, training_data)) if one is not None
        }
        if CARD in files and nothing_new:
            return files
        try:
            files |= {name: _json(content) for name, content in given.items()}
            accounts = {n: json.loads(files[n]) for n in (RUN, TRAINING_DATA) if n in files}
            card = model_card(
                self,
                run=accounts.get(RUN),
                training_data=accounts.get(TRAINING_DATA),
                results=results,
                license=license,
                changed_from=changed_from and changed_from[0],
            )
        except EEGFoundationError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if not {RUN, TRAINING_DATA} & {*files, *given}:
                raise
            raise CheckpointError(
                f"{RUN} or {TRAINING_DATA} of this model is damaged ({type(error).__name__}: "
                f"{error}): get it again, or remove it to save the model without."
            ) from error
        return {**files, CARD: card.encode(errors="backslashreplace")}

    def _files_of_origin(self) -> dict[str, bytes]:
        """What lies beside the weights that this model was loaded from."""
        if self._origin is None:
            return {}
        name, where = self._origin
        if Path(name).is_absolute() and not os.path.isdir(name):  # gone since
            return {}
        found = {
            file: cached_file(
                name,
                file,
                _raise_exceptions_for_missing_entries=False,
                _raise_exceptions_for_connection_errors=False,
                _raise_exceptions_for_gated_repo=False,
                **where,
            )
            for file in (CARD, RUN, TRAINING_DATA, CURVES)
        }
        return {file: Path(path).read_bytes() for file, path in found.items() if path is not None}

    def _is_as_loaded(self) -> bool:
        """Whether weights and settings are still those of the checkpoint."""
        assert self._origin is not None
        name, where = self._origin
        original = type(self).from_pretrained(name, **where).to(self.device, self.dtype)
        weights, before = self.state_dict(), original.state_dict()
        return (
            _settings(self.config) == _settings(original.config)
            and weights.keys() == before.keys()
            and all(torch.equal(value, before[key]) for key, value in weights.items())
        )


def _settings(config: Any) -> dict[str, Any]:
    """Configuration without what saving and loading write into it."""
    values: dict[str, Any] = config.to_dict()
    passing = {"architectures", "dtype", "_name_or_path", "transformers_version"}
    return {key: value for key, value in values.items() if key not in passing}


def _is_foreign(card: Path) -> bool:
    """Whether a README.md is somebody's own page, not a model card of this library."""
    if not card.exists():
        return False
    header = card.read_text("utf-8", errors="replace").partition("\n---")[0]
    return f"library_name: {LIBRARY}" not in header


def _json(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode(errors="backslashreplace")
