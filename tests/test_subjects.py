"""Who was recorded is known by a code that says nothing else of the person."""

import re
from pathlib import Path

import pytest

from eegfoundation.subjects import bids_subject, patient_code


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("study/sub-03/eeg/sub-03_task-rest_eeg.edf", "03"),
        ("sub-07_rest.npy", "07"),
        ("of_sub-01/sub-02/a.edf", "02"),
        ("study/subject3.edf", None),
        ("notsub-04/a.edf", None),
    ],
)
def test_the_last_label_of_a_path(path, expected):
    assert bids_subject(Path("/data") / path) == expected


@pytest.mark.parametrize("code", ["S12", "sub-007", "patient_3", "A17", "VP 4b", "simulated-0"])
def test_a_number_within_a_study_is_kept(code):
    assert patient_code({"subject_info": {"his_id": code}}) == code


@pytest.mark.parametrize("code", ["", "X", "0", "0000", "Doe", None])
def test_what_is_no_code_is_nobody(code):
    assert patient_code({"subject_info": {"his_id": code}}) is None
    assert patient_code({"subject_info": None}) is None


@pytest.mark.parametrize("code", ["19701231", "Doe1970", "MRN-0012345", "12.05.1970"])
def test_what_may_tell_a_person_becomes_the_same_hash_every_time(code):
    found, again = (patient_code({"subject_info": {"his_id": code}}) for _ in range(2))
    assert found == again
    assert re.fullmatch("id-[0-9a-f]{8}", found)
    assert not any(part in found for part in re.findall(r"\w{5,}", code))
    assert found != patient_code({"subject_info": {"his_id": code + "1"}})
