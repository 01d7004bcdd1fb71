"""Names, birth dates and recording dates of file headers stay there: no output, no log has them."""

import datetime
import logging
import zipfile
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest
from scipy.io import savemat

from eegfoundation import read_recording
from samples import NAMES, waves, write_edf

SFREQ = 100
#: Whatever a header can say about a person; none of it may appear anywhere.
PLANTED = (
    *("Zyxwvut", "Qponmlk", "Hgfedc", "Rstuv", "77713579"),
    *("31.12.1931", "1931-12-31", "31-DEC-1931", "Dec 31", "31 Dec"),
    *(
        "1987-06-05",
        "05.06.87",
        "19870605",
        "05-JUN-1987",
        "Jun 05",
        "05 Jun",
        "June 5",
        "04:03:02",
    ),
)
BIRTH, DAY = datetime.date(1931, 12, 31), datetime.datetime(1987, 6, 5, 4, 3, 2)


def _edf(folder, bdf=False):
    path = folder / ("b.bdf" if bdf else "a.edf")
    who = {
        "patient": edfio.Patient(
            code="77713579", sex="F", birthdate=BIRTH, name="Zyxwvut_Qponmlk", additional=("Rstuv",)
        ),
        "recording": edfio.Recording(
            startdate=DAY.date(), hospital_administration_code="77713579",
            investigator_technician_code="Dr_Hgfedc", equipment_code="Klinik_Rstuv",
        ),
    }  # fmt: skip
    if not bdf:
        return write_edf(path, waves(SFREQ), starttime=DAY.time(), **who)
    signals = [
        edfio.BdfSignal(row, SFREQ, label=name, physical_dimension="uV")
        for row, name in zip(waves(SFREQ), NAMES[:3], strict=True)
    ]
    edfio.Bdf(signals, data_record_duration=1, starttime=DAY.time(), **who).write(path)
    return path


def _old_edf(folder):
    """Of the time before EDF+: whatever somebody typed, the damaged date included."""
    path = write_edf(folder / "c.edf", waves(SFREQ, seed=2))
    content = bytearray(path.read_bytes())
    content[8:88] = b"Zyxwvut1931 Qponmlk 31.12.1931".ljust(80)
    content[88:168] = b"Dr_Hgfedc Klinik_Rstuv 05.06.87".ljust(80)
    content[168:184] = b"05.06.8704.03.02"
    path.write_bytes(content)
    return path


def _fif(folder):
    info = mne.create_info(NAMES[:3], SFREQ, "eeg")
    info["subject_info"] = {
        "his_id": "77713579", "last_name": "Zyxwvut", "first_name": "Qponmlk", "birthday": BIRTH,
    }  # fmt: skip
    info["experimenter"], info["description"] = "Dr_Hgfedc", "Zyxwvut, born 31.12.1931"
    info["proj_name"] = "Klinik_Rstuv"
    raw = mne.io.RawArray(waves(SFREQ, seed=3) * 1e-6, info, verbose="error")
    raw.set_meas_date(DAY.replace(tzinfo=datetime.UTC))
    raw.save(folder / "d_raw.fif", verbose="error")
    return folder / "d_raw.fif"


def _brainvision(folder):
    channels = "\n".join(f"Ch{i + 1}={name},,1,µV" for i, name in enumerate(NAMES[:3]))
    common = "[Common Infos]\nCodepage=UTF-8\nDataFile=e.eeg\n"
    (folder / "e.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n; Zyxwvut Qponmlk, 31.12.1931\n"
        f"{common}MarkerFile=e.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels=3\nSamplingInterval={1e6 / SFREQ:g}\n"
        f"[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\n{channels}\n"
        "[Comment]\nPatient Zyxwvut Qponmlk, 77713579, recorded by Dr_Hgfedc on 1987-06-05\n",
        encoding="utf-8",
    )
    (folder / "e.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n"
        f"{common}[Marker Infos]\nMk1=New Segment,,1,1,0,19870605040302000000\n"
        "Mk2=Stimulus,S  1,300,1,0\n",
        encoding="utf-8",
    )
    (folder / "e.eeg").write_bytes(waves(SFREQ, seed=4).T.astype("<f4").tobytes())
    return folder / "e.vhdr"


def _eeglab(folder):
    x = waves(SFREQ, seed=5)
    empty = {name: [] for name in ("event", "epoch", "icawinv", "icaweights", "icasphere")}
    content = {
        "setname": "Zyxwvut Qponmlk", "filename": "Zyxwvut.set", "filepath": "/Klinik_Rstuv",
        "subject": "Zyxwvut", "comments": "born 31.12.1931, by Dr_Hgfedc on 1987-06-05",
        "nbchan": 3.0, "pnts": float(x.shape[1]), "trials": 1.0, "srate": float(SFREQ),
        "xmin": 0.0, "xmax": (x.shape[1] - 1) / SFREQ, "data": x.astype(np.float32),
        "chanlocs": np.array([(name,) for name in NAMES[:3]], dtype=[("labels", object)]), **empty,
    }  # fmt: skip
    savemat(folder / "f.set", {"EEG": content}, appendmat=False)
    return folder / "f.set"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """One recording per format, each of a person with a name."""
    folder = tmp_path_factory.mktemp("headers")
    return [
        _edf(folder),
        _edf(folder, bdf=True),
        _old_edf(folder),
        _fif(folder),
        _brainvision(folder),
        _eeglab(folder),
    ]


def _everything(folder):
    """All that was written, what is packed in .npz as well, by name; and the names themselves."""
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), str(path.relative_to(folder)).encode()
        if path.is_file():
            yield path.name, path.read_bytes()
        if path.suffix in (".npz", ".pt2"):
            with zipfile.ZipFile(path) as file:
                for name in file.namelist():
                    yield f"{path.name}/{name}", file.read(name)


def _found(content, binary):
    # pixels and weights hold any five bytes by chance
    words = [word for word in PLANTED if len(word) > 6] if binary else PLANTED
    readings = (content, content.decode("utf-32-le", "ignore").encode())  # texts of NumPy
    return [word for word in words if any(word.encode() in reading for reading in readings)]


BINARY = (".pt2", ".png", ".safetensors", ".pth", ".npy", ".html", ".npz")


def test_the_names_are_in_the_files(recordings):
    for path in recordings:
        files = path.parent.glob(f"{path.stem}.*")
        content = b"".join(file.read_bytes() for file in files)
        assert b"Zyxwvut" in content, path.name


def test_what_is_kept_of_a_person(recordings):
    subjects = [read_recording(path).subject for path in recordings]
    assert subjects[0] == subjects[1] == subjects[3]  # the same code: the same person
    assert all(subject is None or subject.startswith("id-") for subject in subjects), subjects


def test_no_output_names_the_person(
    recordings, command, encoder_folder, trained_table, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    model = ("--model", encoder_folder)
    runs = [
        ("embed", *recordings, "--out", tmp_path / "embed", *model),
        ("tokenize", *recordings, "--out", tmp_path / "tokenize"),
        ("predict", *recordings, "--out", tmp_path / "predict"),
        *(("info", path) for path in recordings),
        *(
            ("report", path, "--out", tmp_path / "report" / f"{path.stem}.html", *model,
             "--classes", "false")
            for path in (recordings[0], recordings[3])
        ),
        ("build-corpus", recordings[0].parent, "--out", tmp_path / "corpus", "--window", 2,
         "--workers", 0),
        ("pretrain", "--corpus", tmp_path / "corpus", "--out", tmp_path / "pretrain", "--size",
         "tiny", "--steps", 1, "--batch_size", 2, "--bf16", "false"),
        ("finetune", "--task", trained_table, "--out", tmp_path / "finetune", *model,
         "--window", 2),
        ("evaluate", "--task", trained_table, "--out", tmp_path / "evaluate", *model,
         "--window", 2, "--protocol", "kfold", "--n_splits", 2, "--seeds", 1,
         "--alignments", "[none]"),
        ("export", tmp_path / "finetune" / "model", "--format", "torch", "--out",
         tmp_path / "export" / "a.pt2"),
        ("convert", tmp_path / "finetune" / "table_model.pth", "--classifier_config",
         tmp_path / "finetune" / "table_config.json", "--out", tmp_path / "convert"),
        *(
            ("stream", tmp_path / "finetune" / "model", "--replay", path, "--speed", 0,
             "--every", 0.5, "--out", tmp_path / "stream" / f"{path.stem}.csv")
            for path in recordings[:4]
        ),
    ]  # fmt: skip
    for words in runs:
        code, out, err = command(*words)
        assert code == 0, (words, err)
        said = "\n".join([*out, *err])
        assert not _found(said.encode(), binary=False), (words[0], said)
    assert not _found(caplog.text.encode(), binary=False)
    seen = 0
    for name, content in _everything(tmp_path):
        binary = Path(name.split("/")[0]).suffix in BINARY or name.endswith(BINARY)
        assert not _found(content, binary), (name, _found(content, binary))
        seen += 1
    assert seen > 60


def test_no_error_names_the_person(recordings, command, tmp_path):
    for path in recordings:
        broken = tmp_path / path.name
        content = path.read_bytes()
        broken.write_bytes(content[: len(content) // 3])
        code, out, err = command("info", broken)
        assert code in (0, 2)
        assert not _found("\n".join([*out, *err]).encode(), binary=False)


@pytest.fixture
def trained_table(recordings, tmp_path_factory):
    """Two labels of each recording, named after no person."""
    rows = ["path,subject,label,start,stop"]
    for i, path in enumerate(recordings):
        rows += [f"{path},P{i},rest,0,10", f"{path},P{i},task,12,22"]
    table = tmp_path_factory.mktemp("table") / "table.csv"
    table.write_text("\n".join(rows))
    return table
