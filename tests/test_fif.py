"""A FIF file that has no end, and those that have one."""

import gzip
import struct

import mne
import numpy as np
import pytest

from eegfoundation import read_recording
from eegfoundation.errors import RecordingError


@pytest.fixture
def path(tmp_path):
    info = mne.create_info(["C3", "C4"], 100, "eeg", verbose="error")
    raw = mne.io.RawArray(
        np.random.default_rng(0).normal(0, 2e-5, (2, 1000)), info, verbose="error"
    )
    raw.save(tmp_path / "x_raw.fif", verbose="error")
    return tmp_path / "x_raw.fif"


def without_directory(path, size_of_second=4, next_of_second=0):
    """Read from tag to tag; the second tag says where the next one lies."""
    content = bytearray(path.read_bytes())
    content[44:56] = struct.pack(">3i", size_of_second, next_of_second, -1)
    return bytes(content)


@pytest.mark.parametrize("packed", [False, True])
def test_tags_that_come_to_an_end_are_read(path, packed):
    expected = read_recording(path).get_data()
    content = without_directory(path)
    if packed:
        path = path.with_suffix(".fif.gz")
        content = gzip.compress(content)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_recording(path).get_data(), expected)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("second", [(4, 36), (-1000, 0)])  # to itself; before the beginning
def test_tags_that_lead_back_are_refused(path, packed, second):
    content = without_directory(path, *second)
    if packed:
        path = path.with_suffix(".fif.gz")
        content = gzip.compress(content)
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"x_raw\.fif.* leads its reader in circles"):
        read_recording(path)
