"""Errors that raise no exception by themselves and ruin a study: refused, undone, or written down.

docs/silent_errors.md is the table of these tests.
"""

import csv
import dataclasses
import json
import logging
import re
import shutil
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from scipy.io import savemat
from scipy.signal import resample_poly

from eegfoundation import Embeddings, Preprocessing, embed, predict, preprocess, read_recording
from eegfoundation.errors import (
    CheckpointError,
    PreprocessingError,
    RecordingError,
    TaskError,
    UnitsError,
)
from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification, fingerprint
from eegfoundation.montage import positions
from eegfoundation.plausibility import check_positions, warn_once
from eegfoundation.synthetic import simulate_resting
from eegfoundation.tasks import TASKS, load_task, load_trials
from eegfoundation.tasks.arrays import trials_from_arrays
from eegfoundation.tasks.table import open_recording
from samples import files_in, noise, waves, write_edf
from shared_data import format_files, shared_path

pytestmark = pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")

NAMES = ["Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8"]
NAMES += ["P7", "P3", "Pz", "P4", "P8", "O1", "O2"]
PAGE = Path(__file__).resolve().parents[1] / "docs" / "silent_errors.md"


@pytest.fixture(autouse=True)
def _nothing_was_said_before():
    warn_once.cache_clear()


@pytest.fixture
def embedded(command, encoder_folder, tmp_path, caplog):
    """`eegfoundation embed`: what it wrote beside the embeddings, and what it warned of."""

    def run(path, *more):
        out = tmp_path / "out"
        caplog.clear()
        code, _, err = command("embed", path, "--model", encoder_folder, "--out", out, *more)
        assert (code, err) == (0, [])
        (beside,) = out.glob("*.preprocessing.json")
        (result,) = out.glob("*.npz")
        history = json.loads(beside.read_text(encoding="utf-8"))
        assert history == Embeddings.load(result).history
        shutil.rmtree(out)
        return history, list(caplog.messages)  # a user sees them on stderr

    return run


@pytest.fixture
def refused(command, tmp_path):
    """What a command says that refuses and writes nothing."""

    def run(*arguments):
        code, _, err = command(*arguments, "--out", tmp_path / "refused")
        assert (code, len(err)) == (2, 1), err
        assert files_in(tmp_path / "refused") == []
        return err[0]

    return run


def eeg(names=NAMES, seconds=20, sfreq=250, line_freq=50.0, seed=0):
    """Simulated rest, microvolts."""
    return simulate_resting(
        names, duration=seconds, sfreq=sfreq, seed=seed, line_freq=line_freq
    ).data


def raw_of(x, names=NAMES, sfreq=250, places=None):
    """MNE object in volts, with these positions (n, 3) in metres."""
    info = mne.create_info(list(names), sfreq, "eeg", verbose="error")
    raw = mne.io.RawArray(x * 1e-6, info, verbose="error")
    if places is not None:
        montage = mne.channels.make_dig_montage(
            dict(zip(names, places, strict=True)),
            nasion=[0, 0.1, 0],
            lpa=[-0.08, 0, 0],
            rpa=[0.08, 0, 0],
            coord_frame="head",
        )
        raw.set_montage(montage, verbose="error")
    return raw


def notes(recording, stage="preprocessing"):
    return recording.history[stage]["notes"]


def contradictions(recording, stage="preprocessing"):
    return recording.history[stage]["contradictions"]


# ---- wrong units --------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "of_microvolts"), [("V", 1e-6), ("mV", 1e-3), ("nV", 1e3)])
def test_wrong_units(refused, encoder_folder, tmp_path, unit, of_microvolts):
    np.save(tmp_path / "x.npy", eeg() * of_microvolts)
    said = refused("embed", tmp_path / "x.npy", "--sfreq", 250, "--model", encoder_folder)
    assert f"pass units='{unit}'" in said
    with pytest.raises(UnitsError, match=f"units='{unit}'"):
        read_recording(tmp_path / "x.npy", sfreq=250)


def test_one_channel_in_another_unit(encoder):
    """The median over channels does not see it; no sample of it is used."""
    x = eeg()
    x[3] *= 1000  # microvolts among millivolts
    x[8] /= 1000
    found = embed(x, encoder, sfreq=250, ch_names=NAMES)
    others = np.delete(np.arange(len(NAMES)), [3, 8])
    assert (found.quality[:, 3] < 0.1).all()
    np.testing.assert_array_equal(found.quality[:, 8], 0)
    assert (found.quality[:, others] == 1).all()
    assert found.history["windows"]["unusable"]["flat"] == found.values.shape[0] * 2000


# ---- wrong channel order ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier(encoder):
    config = DownstreamConfig(
        seq_len=800, patch_size=100, stride=100, d_model=32, num_classes=2, num_channel=3,
        embedding_dim=128, projection_embedding_dim=24, classification_hidden_dim=20,
        encoder_sha256=fingerprint(encoder),
    )  # fmt: skip
    torch.manual_seed(0)
    model = EEGFoundationForClassification(config).eval()
    with torch.no_grad():
        model.final_layer.weight.mul_(30)  # decisions that differ visibly
    model.attach_encoder(encoder)
    return model


def test_channel_order(encoder, classifier, tmp_path):
    """Names decide, places in the file do not: embeddings, decisions, trials."""
    names = ["C3", "Cz", "C4", "O1"]
    x = waves(100, n_chans=4)
    one = write_edf(tmp_path / "one.edf", x, names)
    other = write_edf(tmp_path / "other.edf", x[::-1], names[::-1])
    a, b = embed(one, encoder), embed(other, encoder)
    assert b.ch_names == a.ch_names[::-1]
    np.testing.assert_allclose(a.values, b.values[:, ::-1], atol=1e-5)
    assert np.abs(a.values - b.values).max() > 0.01  # the order shows

    a, b = (predict(path, classifier)[["p_0", "p_1"]].to_numpy() for path in (one, other))
    np.testing.assert_allclose(a, b, atol=1e-4)
    # swapped names are another recording
    swapped = predict(x, classifier, sfreq=100, ch_names=["C4", "Cz", "C3", "O1"])
    assert np.abs(swapped[["p_0", "p_1"]].to_numpy() - a).max() > 1e-3

    rows = [("one.edf", "P1", "rest"), ("other.edf", "P2", "task")]
    table = write_table(tmp_path / "own.csv", rows)
    trials = load_trials(load_task(table, window=10), None, Preprocessing(), progress=False)
    assert trials.ch_names == tuple(names)
    np.testing.assert_allclose(trials.x[:3], trials.x[3:], atol=0.02)


def test_channels_without_names(encoder):
    """Nobody knows their order: no position is made up."""
    history = embed(eeg(), encoder, sfreq=250).history
    assert "no ch_names were given: positions are unknown" in history["reading"]["notes"]
    assert len(history["reading"]["positions_unknown"]) == len(NAMES)


def test_one_signal_under_two_names(embedded, tmp_path):
    x = eeg()
    x[10] = x[8]
    history, said = embedded(write_edf(tmp_path / "x.edf", x, NAMES, 250))
    note = "the same samples under two names: C4 and C3"
    assert history["preprocessing"]["contradictions"] == [note]
    assert said == [f"x.edf: {note}"]


# ---- swapped left and right ---------------------------------------------------------------------

SWAPPED = {
    "left and right": (lambda p: p * [-1, 1, 1], "swap left and right against"),
    "front and back": (lambda p: p * [1, -1, 1], "swap front and back against"),
    "turned by 180 degrees": (lambda p: p * [-1, -1, 1], "swap left and right and front and back"),
    "turned by 90 degrees": (lambda p: p[:, [1, 0, 2]] * [-1, 1, 1], "turned, or in another order"),
    "another order": (
        lambda p: np.random.default_rng(0).permutation(p),
        "turned, or in another order",
    ),
}


@pytest.mark.parametrize("kind", SWAPPED)
def test_swapped_left_and_right(embedded, tmp_path, kind):
    """Names contradict positions: said, written down, and the names are followed."""
    change, words = SWAPPED[kind]
    path = tmp_path / "x_raw.fif"
    raw_of(eeg(), places=change(positions(NAMES))).save(path, verbose="error")
    history, said = embedded(path)
    (note,) = history["reading"]["contradictions"]
    assert words in note
    assert "the names are believed" in note
    assert said == [f"x_raw.fif: {note}"]
    np.testing.assert_array_equal(read_recording(path).positions, positions(NAMES))


def test_two_electrodes_swapped():
    places = positions(NAMES)
    left, right = NAMES.index("C3"), NAMES.index("C4")
    places[[left, right]] = places[[right, left]]
    raw = raw_of(eeg(), places=1.05 * places @ turn(8))
    (note,) = contradictions(read_recording(raw), "reading")
    assert re.match(r"electrodes more than 4 cm from where their names belong: C3, C4;", note)


def turn(degrees):
    """Rotation about the vertical axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def test_places_of_a_mirrored_file_are_not_used():
    """An electrode without a standard place has the file's, unless that is mirrored."""
    names = [*NAMES, "X1"]
    places = np.vstack([positions(NAMES), [[0.05, 0.05, 0.06]]])
    right = read_recording(raw_of(noise(len(names), 5000), names, places=places))
    np.testing.assert_allclose(right.positions[-1], [0.05, 0.05, 0.06], atol=1e-6)
    with_mirror = raw_of(noise(len(names), 5000), names, places=places * [-1, 1, 1])
    assert np.isnan(read_recording(with_mirror).positions[-1]).all()


@pytest.mark.parametrize("name", mne.channels.get_builtin_montages())
def test_real_caps_contradict_nothing(name):
    """Every cap that MNE knows, also on a bigger head that looks a little to the side."""
    montage = mne.channels.make_standard_montage(name)
    info = mne.create_info(montage.ch_names, 100.0, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    places = np.array([channel["loc"][:3] for channel in info["chs"]])
    expected = positions(montage.ch_names)
    if name == "colin27_prefixed":  # its aF3 lies elsewhere than AF3, and names know no case
        found = check_positions(montage.ch_names, expected, places)[0]
        assert "names belong: aF3, pO5, pO6;" in found[0]
        return
    assert check_positions(montage.ch_names, expected, places) == ([], True)
    assert check_positions(montage.ch_names, expected, 1.1 * places @ turn(10)) == ([], True)


# ---- a notch at the wrong mains frequency -------------------------------------------------------


@pytest.mark.parametrize(("mains", "asked"), [(50, 60), (60, 50)])
def test_notch_at_the_wrong_mains_frequency(embedded, tmp_path, mains, asked):
    path = write_edf(tmp_path / "x.edf", eeg(line_freq=float(mains)), NAMES, 250)
    history, said = embedded(path, "--line_freq", asked)
    note = (
        f"a notch at {asked} Hz was asked for, but the spectrum has its mains peak at {mains} Hz: "
        "correct line_freq"
    )
    assert history["preprocessing"]["contradictions"] == [note]
    assert said == [f"x.edf: {note}"]
    for right in (("--line_freq", mains), ()):  # given, and detected
        history, said = embedded(path, *right)
        assert history["preprocessing"]["line_freq"] == mains
        assert (history["preprocessing"]["contradictions"], said) == ([], [])


def test_a_file_and_settings_may_be_wrong_about_the_mains(classifier, caplog):
    raw = raw_of(eeg(line_freq=60.0))
    raw.info["line_freq"] = 50.0
    by_file = preprocess(read_recording(raw))
    raw.info["line_freq"] = None
    by_settings = preprocess(read_recording(raw), Preprocessing(notch=50.0))
    for recording in (by_file, by_settings):
        assert "mains peak at 60 Hz" in contradictions(recording)[0]
    assert len(caplog.messages) == 1  # once, however often it is read
    history = predict(raw, classifier, line_freq=50.0).attrs["history"]
    assert history["preprocessing"]["contradictions"] == contradictions(by_settings)


# ---- another reference --------------------------------------------------------------------------


def test_another_reference(encoder):
    """What came with an average reference says so; references in names are on record."""
    x = eeg()
    averaged = preprocess(read_recording(x - x.mean(axis=0), sfreq=250, ch_names=NAMES))
    assert notes(averaged) == ["channels sum to zero: they came with an average reference"]
    assert notes(preprocess(read_recording(x, sfreq=250, ch_names=NAMES))) == []
    ears = [f"EEG {name}-A1" for name in NAMES]
    history = embed(x, encoder, sfreq=250, ch_names=ears).history
    assert history["reading"]["renamed"]["EEG C3-A1"] == "C3"
    assert history["preprocessing"]["reference"] == encoder.preprocessing.reference


def test_a_flat_reference_electrode():
    x = eeg()
    x -= x[NAMES.index("Cz")]
    recording = preprocess(read_recording(x, sfreq=250, ch_names=NAMES))
    assert notes(recording) == [
        "flat throughout, so not used: Cz (the reference electrode, or not connected)"
    ]


def test_a_classifier_of_another_reference(encoder):
    other = {**encoder.preprocessing.to_dict(), "reference": "bipolar"}
    config = DownstreamConfig(embedding_dim=128, preprocessing=other)
    with pytest.raises(CheckpointError, match="reference='bipolar'"):
        EEGFoundationForClassification(config).attach_encoder(encoder)


# ---- resampling twice ---------------------------------------------------------------------------


def test_resampling_twice(embedded, encoder, tmp_path):
    recording = read_recording(eeg(), sfreq=250, ch_names=NAMES)
    with pytest.raises(PreprocessingError, match="preprocessed already"):
        embed(preprocess(recording), encoder)
    # ... and if it was done before the file was written
    before = resample_poly(eeg(sfreq=100), 5, 2, axis=1)
    history, said = embedded(write_edf(tmp_path / "x.edf", before, NAMES, 250))
    (note,) = history["preprocessing"]["notes"]
    found = re.fullmatch(r"nothing above about (\d+) Hz, at 250 Hz sampling: .*", note)
    assert 44 <= int(found[1]) <= 50
    assert said == [f"x.edf: {note}"]
    history, _ = embedded(write_edf(tmp_path / "y.edf", eeg(), NAMES, 250))
    assert history["preprocessing"]["notes"] == []


def test_another_sampling_rate_than_the_file_has(tmp_path):
    path = write_edf(tmp_path / "x.edf", eeg(), NAMES, 250)
    with pytest.raises(RecordingError, match="sampled at 250 Hz but sfreq=500 was given"):
        read_recording(path, sfreq=500)


# ---- a leaking split ----------------------------------------------------------------------------


def write_table(path, rows, header=("path", "subject", "label")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def study(folder, subjects, copied=()):
    """A table of one file per subject, half rest and half task; some files are copies."""
    rows = []
    header = ("path", "subject", "label", "start", "stop")
    for i, subject in enumerate(subjects):
        path = folder / f"r{i}.edf"
        seed = copied[i] if copied else i
        write_edf(path, noise(3, 2400, seed=seed), ["C3", "Cz", "C4"], 100)
        rows += [(path.name, subject, "rest", 0, 12), (path.name, subject, "task", 12, 24)]
    return write_table(folder / "own.csv", rows, header)


COMMANDS = [("finetune",), ("evaluate", "--protocol", "kfold", "--n_splits", 3)]


@pytest.mark.parametrize("call", COMMANDS, ids=["finetune", "evaluate"])
def test_leaking_split_one_subject_in_two_spellings(refused, encoder_folder, tmp_path, call):
    table = study(tmp_path, ["sub-01", "sub-02", "sub-03", "01", "S2", "3"])
    said = refused(*call, "--task", table, "--model", encoder_folder)
    assert "look like one person in two spellings" in said


@pytest.mark.parametrize(("one", "other"), [("sub-01", "1"), ("S_02", "s2"), ("VP 7", "vp07")])
def test_leaking_split_in_a_table(tmp_path, one, other):
    rows = [("a.edf", one, "rest", "train"), ("b.edf", other, "task", "test")]
    table = write_table(tmp_path / "own.csv", rows, ("path", "subject", "label", "split"))
    with pytest.raises(TaskError, match=f"Subject {one} is in train and {other} in test"):
        load_task(table)


def test_people_whose_names_are_alike_are_not_one(tmp_path):
    """Patients and controls, sites, tens: none of these is a spelling."""
    pairs = [("P01", "C01"), ("A01", "B01"), ("1", "10"), ("S1", "P1"), ("x1_2", "x1_3")]
    for i, (one, other) in enumerate(pairs):
        rows = [("a.edf", one, "rest", "train"), ("b.edf", other, "task", "test")]
        table = tmp_path / f"{i}.csv"
        load_task(write_table(table, rows, ("path", "subject", "label", "split")))


@pytest.mark.parametrize("call", COMMANDS, ids=["finetune", "evaluate"])
def test_leaking_split_one_recording_under_two_names(refused, encoder_folder, tmp_path, call):
    table = study(tmp_path, "ABCDEF", copied=[0, 1, 2, 0, 1, 2])
    said = refused(*call, "--task", table, "--model", encoder_folder)
    assert "is a file there twice under two names?" in said


def test_one_recording_twice_in_a_corpus(command, tmp_path):
    for i, seed in enumerate((0, 1, 0)):
        write_edf(tmp_path / "data" / f"r{i}.edf", eeg(["C3", "C4"], seed=seed), sfreq=250)
    out = tmp_path / "corpus"
    more = ("--notch", 60, "--workers", 0)
    code, _, err = command("build-corpus", tmp_path / "data", "--out", out, *more)
    assert code == 0
    assert "data/r0.edf and data/r2.edf hold the same samples: keep one of them" in err
    corpus = json.loads((out / "corpus.json").read_text())
    assert corpus["same_samples"] == [["data/r0.edf", "data/r2.edf"]]
    beside = [json.loads(path.read_text()) for path in out.glob("shards/*/*.json")]
    assert len(beside) == 3
    for shard in beside:
        (text,) = shard["history"]["preprocessing"]["contradictions"]
        assert "mains peak at 50 Hz" in text


# ---- labels off by one --------------------------------------------------------------------------


def test_labels_off_by_one_in_numbers(encoder):
    """Classes are names. Numbers that are no index of a class are refused."""
    x, y = noise(6, 2, 400), np.array([0, 1, 2] * 2)
    more = {"subject": "P", "sfreq": 200, "preprocessing": Preprocessing()}
    with pytest.raises(TaskError, match="y has the label '0'; expected left, right, feet"):
        trials_from_arrays(x, y, classes=["left", "right", "feet"], **more)
    trials = trials_from_arrays(x, y, **more)
    for wrong in (y + 1, y - 1):
        with pytest.raises(TaskError, match="expected indices of the 3 classes, 0 to 2"):
            dataclasses.replace(trials, y=wrong)


def write_2a(path, y):
    """Two runs of data set 2a in the layout of BNCI Horizon 2020; labels from 1."""
    runs = np.empty((1, len(y)), dtype=object)
    for i, labels in enumerate(y):
        trial = 250 * (1 + 8 * np.arange(len(labels), dtype=float))
        x = noise(25, 250 * (8 * len(labels) + 2)).T
        runs[0, i] = {"X": x, "trial": trial[:, None], "y": labels[:, None], "fs": 250.0}
    savemat(path, {"data": runs})


@pytest.mark.parametrize("shift", [0, 1, "codes from 0", "codes from 2"])
def test_labels_off_by_one_in_data_set_2a(tmp_path, shift):
    """Every run has as many trials of each class; shifted labels do not."""
    y = np.array([[1, 2, 3, 4] * 2, [4, 3, 2, 1] * 2])
    y = {"codes from 0": y - 1, "codes from 2": y + 1}.get(shift, y)
    if shift == 1:
        y = np.roll(np.ravel([[1, 2, 3, 4] * 2, [4, 3, 2, 1] * 2]), 1).reshape(2, 8)
    write_2a(tmp_path / "A01T.mat", y)
    if shift == 0:
        trials = load_trials(TASKS["bcic-iv-2a"], tmp_path, Preprocessing(), progress=False)
        assert trials.counts() == (4, 4, 4, 4)
        np.testing.assert_array_equal(trials.y, y.ravel() - 1)
        return
    if shift == 1:
        y[:, 0] = [2, 1]  # the border between runs: one class more, another less
        write_2a(tmp_path / "A01T.mat", y)
    with pytest.raises(TaskError, match="expected as many of each: labels or events are missing"):
        load_trials(TASKS["bcic-iv-2a"], tmp_path, Preprocessing(), progress=False)


def test_trials_that_are_missing_are_counted(refused, encoder_folder, tmp_path):
    """Published splits know how many windows of each class they have."""
    write_2a(tmp_path / "A01T.mat", np.array([[1, 2, 3, 4]]))
    for number in range(2, 10):
        shutil.copy(tmp_path / "A01T.mat", tmp_path / f"A{number:02d}T.mat")
    said = refused(
        *("finetune", "--task", "bcic-iv-2a", "--data", tmp_path, "--model", encoder_folder)
    )
    assert "The train part has (5, 5, 5, 5) windows" in said
    assert "expected (720, 720, 720, 720)" in said


def test_labels_in_two_spellings(refused, encoder_folder, tmp_path):
    rows = [("a.edf", "P1", "rest"), ("b.edf", "P2", "Rest"), ("c.edf", "P3", "task")]
    table = write_table(tmp_path / "own.csv", rows)
    said = refused("finetune", "--task", table, "--model", encoder_folder)
    assert "labels 'Rest' and 'rest' differ in their spelling only" in said
    numbers = [("a.edf", f"P{i}", label) for i, label in enumerate(("1", "2", "01"))]
    with pytest.raises(TaskError, match="labels '01' and '1' differ in their spelling only"):
        load_task(write_table(tmp_path / "numbers.csv", numbers))
    with pytest.raises(TaskError, match="label 'Rest' is not among rest, task"):
        load_task(table, classes=["rest", "task"])
    folder = tmp_path / "bids" / "sub-1" / "eeg"
    write_edf(folder / "sub-1_task-x_eeg.edf", noise(2, 1200), ["C3", "C4"])
    events = ["onset\tduration\ttrial_type", "1\t0\tleft", "4\t0\tLeft", "7\t0\tright"]
    (folder / "sub-1_task-x_events.tsv").write_text("\n".join(events))
    with pytest.raises(TaskError, match="'left' and of 'Left', which differ in their spelling"):
        load_task(tmp_path / "bids", classes=["left", "right"])


def test_labels_beyond_the_recording(tmp_path):
    """Onsets in samples or milliseconds instead of seconds."""
    write_edf(tmp_path / "a.edf", noise(3, 2400), sfreq=100)
    header = ("path", "subject", "label", "start", "stop")
    rows = [("a.edf", "P1", "rest", 0, 10), ("a.edf", "P1", "task", 1200, 2400)]
    table = write_table(tmp_path / "own.csv", rows, header)
    with pytest.raises(TaskError, match="has no span from 1200"):
        load_trials(load_task(table), None, Preprocessing(), progress=False)


# ---- what was noted reaches results, and good recordings have no notes --------------------------


def test_notes_about_recordings_reach_the_run(command, encoder_folder, tmp_path):
    """`finetune` and `evaluate` write down of how many recordings a note is true."""
    rows = []
    for i in range(4):
        x = eeg(["C3", "Cz", "C4", "O1"], seconds=24, sfreq=100, line_freq=None, seed=i)
        path = write_edf(tmp_path / f"r{i}.edf", x - x.mean(axis=0), ["C3", "Cz", "C4", "O1"])
        rows += [(path.name, f"P{i}", "rest", 0, 12), (path.name, f"P{i}", "task", 12, 24)]
    table = write_table(tmp_path / "own.csv", rows, ("path", "subject", "label", "start", "stop"))
    trials = load_trials(load_task(table), None, Preprocessing(), progress=False)
    note = "channels sum to zero: they came with an average reference"
    assert trials.notes[note] == 4
    more = ("--task", table, "--model", encoder_folder)
    code, _, err = command("finetune", *more, "--out", tmp_path / "run")
    assert code == 0, err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["notes"][note] == 4
    code, _, err = command(
        *("evaluate", *more, "--protocol", "loso", "--alignments", "[none]", "--seeds", 1),
        *("--out", tmp_path / "results"),
    )
    assert code == 0, err
    result = json.loads((tmp_path / "results" / "own-loso.json").read_text())
    assert result["notes"][note] == 4


#: True of these, and of no other.
TRUE = {
    "egi_dig_test.raw": "flat throughout, so not used: E257 ",
    "test_raw_chanloc.fdt": "flat throughout, so not used: Fp1 ",
    "test_raw_chanloc.set": "flat throughout, so not used: Fp1 ",
}
SUSPICIONS = re.compile("flat throughout|nothing above|sum to zero")
COMPACT = [
    "eeglab_sample/eeglab_data.npz",
    "eegmat/Subject12_rest.npz",
    "eegmmidb/S001_R02.npz",
    "mi_openbci/S09_R0.npz",
    "ssvep_exo/subject02_2012.07.19-17.41.14.npz",
]


@pytest.mark.parametrize(
    "parts",
    [("formats", name) for name in format_files()] + [("compact", name) for name in COMPACT],
    ids=lambda parts: parts[1],
)
def test_good_recordings_raise_no_suspicion(parts, caplog):
    path = shared_path(*parts)
    caplog.set_level(logging.WARNING, "eegfoundation")
    try:
        recording = open_recording(path)
    except UnitsError:
        recording = read_recording(path, units="mV")
    except RecordingError:
        return  # tests/test_wrong_input.py knows which are refused
    recording = preprocess(recording)
    assert contradictions(recording, "reading") + contradictions(recording) == []
    found = [note for note in notes(recording) if SUSPICIONS.search(note)]
    assert [note[: len(TRUE.get(path.name, note))] for note in found] == (
        [TRUE[path.name]] if path.name in TRUE else []
    )
    assert caplog.messages == []


def test_the_page_names_every_test():
    """The claims of docs/silent_errors.md are those made here."""
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    assert named == {name for name in globals() if name.startswith("test_")} - {
        "test_the_page_names_every_test"
    }
