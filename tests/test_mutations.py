"""Mutations of `scripts/fuzz.py`: well-formed where they say so, harmless where they do not fit."""

import gzip
import io
import json
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from samples import write_edf
from shared_data import ROOT

sys.path.append(str(ROOT / "scripts"))

from mutations import APPLY, Edit, edits_of, mutate

NAMES = ("a.json", "a.edf", "a.npy", "a.npz", "a.safetensors", "a.fif.gz", "a.yaml", "a.fif")
JSON = json.dumps({"a": 1, "b": [1, {"c": "x"}], "d": {}}).encode()
ANY_EDIT = st.sampled_from(NAMES).flatmap(lambda name: edits_of(name, bytes(300)))


@given(content=st.binary(max_size=400), edits=ANY_EDIT)
def test_any_change_of_any_bytes_gives_bytes(content, edits):
    assert isinstance(mutate(content, edits), bytes)
    assert mutate(content, edits) == mutate(content, edits)


@given(st.data())
def test_json_stays_json(data):
    edits = data.draw(edits_of("a.json", JSON))
    edits = [edit for edit in edits if edit.kind.startswith("json")]
    json.loads(mutate(JSON, edits))


@given(st.data())
def test_what_is_packed_can_be_unpacked(data):
    packed = io.BytesIO()
    np.savez_compressed(packed, x=np.arange(9), y=np.float32(1))
    edits = [e for e in data.draw(edits_of("a.npz", packed.getvalue())) if e.kind == "in zip"]
    with zipfile.ZipFile(io.BytesIO(mutate(packed.getvalue(), edits))) as file:
        assert file.testzip() is None
        assert file.namelist() == ["x.npy", "y.npy"]
    edits = [e for e in data.draw(edits_of("a.fif.gz", b"x" * 50)) if e.kind == "in gzip"]
    gzip.decompress(mutate(gzip.compress(bytes(99)), edits))


def test_a_field_of_an_edf_header_keeps_its_place(tmp_path):
    content = write_edf(tmp_path / "a.edf").read_bytes()
    changed = mutate(content, [Edit("edf field", 9, value="0"), Edit("edf field", 8, value="nan")])
    assert len(changed) == len(content)
    assert changed[252:256] == b"0   "
    assert changed[244:252] == b"nan     "
    assert (changed[:244], changed[256:]) == (content[:244], content[256:])


def test_a_header_that_grows_says_so():
    header = JSON.ljust(64)
    content = len(header).to_bytes(8, "little") + header + b"weights"
    inner = Edit("json value", 0, value="A" * 500)
    changed = mutate(content, [Edit("safetensors header", value=inner)])
    length = int.from_bytes(changed[:8], "little")
    assert json.loads(changed[8 : 8 + length])["a"] == "A" * 500
    assert changed[8 + length :] == b"weights"


@pytest.mark.parametrize("kind", sorted(APPLY))
def test_nothing_happens_to_an_empty_file_that_ends_badly(kind):
    inner = Edit("flip")
    value = {"in zip": inner, "in gzip": inner, "npy header": inner, "safetensors header": inner,
             "integer": 1, "splice": 0, "line": 0, "insert": b"x", "overwrite": b"x"}  # fmt: skip
    edit = Edit(kind, 5, 1, value.get(kind, "0"))
    assert mutate(b"", [edit]) in (b"", b"x")


def test_the_same_seed_draws_the_same():
    def drawn():
        found = []

        @seed(3)
        @settings(max_examples=30, database=None)
        @given(edits_of("a.json", JSON))
        def collect(edits):
            found.append(mutate(JSON, edits))

        collect()
        return found

    assert drawn() == drawn()
    assert len(set(drawn())) > 15
