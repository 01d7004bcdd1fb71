"""The weights that ship: what they were trained on, and that they are these and no others."""

import json
import re
from pathlib import Path

import pytest

import eegfoundation
from eegfoundation.models import fingerprint, load_encoder

WEIGHTS = Path(eegfoundation.__file__).parent / "weights"

# Public recordings with licences that allow it; of two sets only these subjects, because the others
# are the test subjects of our evidence.
ALLOWED = [
    r"eegmat/Subject[01]\d_(rest|arith)\.npz",
    r"ssvep_exo/subject0[1-7]_.*\.npz",
    r"mi_openbci/S0[2-7]_.*\.npz",
    r"eegmmidb/S001_.*\.npz",
    r"muse_lsl/.*\.npz",
    r"eeglab_sample/eeglab_data\.npz",
]


def unlisted(recordings):
    return [name for name in recordings if not any(re.fullmatch(a, name) for a in ALLOWED)]


def test_what_is_shipped():
    assert {path.name for path in WEIGHTS.iterdir()} == {"small", "nano"}


@pytest.mark.parametrize("name", ["small", "nano"])
def test_the_shipped_encoder_saw_allowed_recordings_only(name):
    content = json.loads((WEIGHTS / name / "training_data.json").read_text(encoding="utf-8"))
    recordings = [row["recording"] for row in content["recordings"]]
    assert len(recordings) == len(set(recordings)) == 124
    assert unlisted(recordings) == []
    assert {row["subject"].partition("/")[0] for row in content["recordings"]} == {
        pattern.partition("/")[0] for pattern in ALLOWED
    }


@pytest.mark.parametrize(
    "name",
    [
        "eegmat/Subject20_rest.npz",
        "eegmat/Subject30_arith.npz",
        "ssvep_exo/subject08_x.npz",
        "ssvep_exo/subject12_x.npz",
        "mi_openbci/S08_R0.npz",
        "formats/Subject30_1.edf",
    ],
)
def test_a_forbidden_recording_would_be_noticed(name):
    assert unlisted([name]) == [name]


@pytest.mark.parametrize("name", ["small", "nano"])
def test_a_name_always_means_these_weights(name):
    encoder = load_encoder(name)  # without a warning: it is trained
    card = (WEIGHTS / name / "README.md").read_text(encoding="utf-8")
    (stated,) = re.findall(r"fingerprint `([0-9a-f]{64})`", card)
    assert fingerprint(encoder) == stated


@pytest.mark.parametrize("name", ["small", "nano"])
def test_the_run_travels_with_the_weights(name):
    run = json.loads((WEIGHTS / name / "run.json").read_text(encoding="utf-8"))
    assert run["settings"]["size"] == name
    assert re.fullmatch(r"[0-9a-f]{40}", run["git_commit"])  # of a clean clone
    assert not {"corpus", "out"} & set(run["settings"])
