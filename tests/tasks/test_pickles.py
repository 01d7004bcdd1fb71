import builtins
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from eegfoundation.errors import TaskError
from eegfoundation.tasks.pickles import load_arrays


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("pickles") / "x.pkl"


@given(
    x=arrays(scalar_dtypes(), array_shapes(min_side=0)),
    protocol=st.integers(0, pickle.HIGHEST_PROTOCOL),
)
def test_arrays_of_any_kind_come_back(path, x, protocol):
    content = pickle.dumps({"x": x, "more": [x[..., :0], (1, "a", {2.5}, None)]}, protocol)
    path.write_bytes(content)
    found = load_arrays(path)
    np.testing.assert_array_equal(found["x"], x)
    assert found["x"].dtype == pickle.loads(content)["x"].dtype
    assert found["more"][1] == (1, "a", {2.5}, None)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_scalars_and_files_of_old_and_new_numpy(path, protocol):
    content = pickle.dumps((np.float32(1.5), np.int64(3), np.arange(3)), protocol)
    for module in (b"numpy._core", b"numpy.core"):
        if module not in content and protocol >= 4:
            continue  # names carry their length there
        path.write_bytes(content.replace(b"numpy._core", module))
        assert load_arrays(path)[:2] == (1.5, 3)


class Malicious:
    """Unpickling calls what it says."""

    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_refused_before_it_runs(path, protocol, tmp_path):
    trace = tmp_path / "trace"
    for evil, name in (
        (Malicious(os.system, f"touch {trace}"), r"\w+\.system"),
        (Malicious(builtins.eval, f"open({str(trace)!r}, 'w')"), r"\w+\.eval"),
        (Malicious(np.save, str(trace), 1), r"numpy\.save"),
        (Malicious(getattr, "text", "join"), r"\w+\.getattr"),
    ):
        for hidden in (evil, [np.zeros(2), evil], np.array([evil], dtype=object)):
            path.write_bytes(pickle.dumps(hidden, protocol))
            with pytest.raises(TaskError, match=rf"x\.pkl wants to run {name}; expected nothing"):
                load_arrays(path)
    assert not list(tmp_path.iterdir())


def test_encodings_other_than_that_of_bytes_are_refused(path):
    path.write_bytes(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")
    with pytest.raises(TaskError, match="encoding 'rot13'"):
        load_arrays(path)


@given(cut=st.integers(0, 200))
def test_damaged_files_are_refused(path, cut):
    content = pickle.dumps(np.arange(50.0))
    path.write_bytes(content[:cut])
    with pytest.raises(TaskError, match="cannot be read as a pickle of arrays"):
        load_arrays(path)


def test_absent_file(path):
    with pytest.raises(TaskError, match="does it exist"):
        load_arrays(path.with_name("absent.pkl"))
