"""Reading other people's pickles without running their code.

A pickle is a program: it may name any function and have it called. This reader knows the few names
by which NumPy rebuilds arrays, dtypes and scalars, and Python sets and bytes; numbers, texts and
other plain containers need none. Anything else is refused before it is called.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from eegfoundation.errors import TaskError


def load_arrays(path: str | Path) -> Any:
    """Unpickle a file of NumPy arrays and scalars, numbers, texts and plain containers.

    Parameters
    ----------
    path : path

    Returns
    -------
    object
        What was pickled.

    Raises
    ------
    TaskError
        If the file is no pickle, is damaged, or asks for anything else.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _ArrayUnpickler(file, path.name).load()
    except TaskError:
        raise
    except Exception as error:
        # a damaged pickle fails with anything from EOFError to MemoryError of an absurd length
        raise TaskError(
            f"{path.name} cannot be read as a pickle of arrays: does it exist, is it complete?"
        ) from error


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, file: Any, name: str) -> None:
        super().__init__(file)
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        """Look up what a pickle wants to call, in a list of our own and nowhere else."""
        # files of NumPy before and since 2, of Python before and since 3
        module_now = module.replace("numpy.core", "numpy._core").replace("__builtin__", "builtins")
        known = _KNOWN.get((module_now, name))
        if known is None:
            raise TaskError(
                f"{self._name} wants to run {module}.{name}; expected nothing but NumPy arrays and "
                "plain containers. Do not open it elsewhere unless you trust who made it."
            )
        return known


def _encode(text: str, encoding: str) -> bytes:
    """The bytes of an array, which old protocols store as text."""
    if encoding != "latin1":
        raise TaskError(f"a pickle asks for the encoding {encoding!r}; expected latin1.")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Empty bytes, which old protocols cannot store."""
    return b""


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("numpy._core.numeric", "_frombuffer"): np.empty(0).__reduce_ex__(5)[0],
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytes"): _no_bytes,
    ("_codecs", "encode"): _encode,
}
