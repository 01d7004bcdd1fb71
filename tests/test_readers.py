"""Which files are read, and that all others are refused with one clear sentence."""

from pathlib import Path
from typing import NamedTuple

import edfio
import numpy as np
import pytest

from eegfoundation.errors import EEGFoundationError, RecordingError
from eegfoundation.readers import open_file
from eegfoundation.recording import read_recording
from shared_data import format_files, shared_path


class Read(NamedTuple):
    format: str
    n_chans: int
    sfreq: float
    duration: float
    n_dropped: int


PERSYST = "sub-pt1_ses-02_task-monitor_acq-ecog_run-01_clip2"
#: What becomes of every file: read as this, or refused with these words.
EXPECTED: dict[str, Read | str] = {
    "MB0400FU.21E": "side file of a Nihon Kohden recording: give its main file MB0400FU.EEG",
    "MB0400FU.EEG": Read("Nihon Kohden", 21, 200, 29.0, 4),
    "MB0400FU.LOG": "side file of a Nihon Kohden recording: give its main file MB0400FU.EEG",
    "MB0400FU.PNT": "side file of a Nihon Kohden recording: give its main file MB0400FU.EEG",
    "SC4001EC-Hypnogram.edf": "has annotations but no signal",
    "bv_dig_test.eeg": Read("BrainVision", 64, 5000, 1.0, 3),
    "bv_dig_test.vhdr": Read("BrainVision", 64, 5000, 1.0, 3),
    "bv_dig_test.vmrk": Read("BrainVision", 64, 5000, 1.0, 3),
    "chtypes_edf.edf": Read("EDF", 27, 200, 5.0, 15),
    "eegmat_Subject30_arithmetic.edf": Read("EDF", 19, 500, 62.0, 2),
    "eegmat_Subject30_rest.edf": Read("EDF", 19, 500, 182.0, 2),
    "egi_dig_test.raw": Read("EGI raw", 257, 1000, 1.586, 5),
    "ssvep_exo_raw.fif": "the numbers look like mV: pass units='mV'",
    f"{PERSYST}.dat": Read("Persyst", 23, 200, 4.235, 60),
    f"{PERSYST}.lay": Read("Persyst", 23, 200, 4.235, 60),
    "subsecond_starttime.edf": Read("EDF", 3, 512, 5.0, 0),
    "test_1ch.gdf": r"no EEG channel, only ECG \(ecg by its name\)",
    "test_CA_208.cnt": Read("ANT", 63, 1000, 4.025, 25),
    "test_CNT_events_mne_JWoess_clipped.cnt": Read("Neuroscan", 2, 1000, 90.0, 0),
    "test_bdf_stim_channel.bdf": Read("BDF", 3, 500, 10.0, 1),
    "test_epochs_onefile.set": Read("EEGLAB", 2, 50, 4 * 0.16, 0),
    "test_raw_2021.set": Read("EEGLAB", 3, 128, 1281 / 128, 0),
    "test_raw_chanloc.fdt": Read("EEGLAB", 61, 128, 385 / 128, 0),
    "test_raw_chanloc.set": Read("EEGLAB", 61, 128, 385 / 128, 0),
    "test_raw_h5.set": "needs another file that is missing: .*tried test_raw.fdt and test_raw_h5",
    "test_reduced.edf": Read("EDF", 132, 512, 6.0, 7),
    "test_utf8_annotations.edf": Read("EDF", 9, 200, 10.0, 2),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_format_is_read_or_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path, expected = shared_path("formats", name), EXPECTED[name]
    if isinstance(expected, str):
        with pytest.raises(RecordingError, match=expected) as caught:
            read_recording(path)
        message = str(caught.value)
        assert "\n" not in message
        assert str(path.parent) not in message
        assert message.endswith(".")
    else:
        recording = read_recording(path)
        reading = recording.history["reading"]
        assert reading["format"] == expected.format
        assert recording.n_chans == expected.n_chans
        assert recording.sfreq == expected.sfreq
        assert recording.duration == pytest.approx(expected.duration)
        assert len(reading["dropped"]) == expected.n_dropped
        assert np.isfinite(recording.get_data()).all()
    assert capfd.readouterr() == ("", "")  # readers print and log


def test_no_format_is_forgotten() -> None:
    assert set(format_files()) <= set(EXPECTED)


def test_neuroscan_sample_width_is_found_where_the_header_fails() -> None:
    path = shared_path("formats", "test_CNT_events_mne_JWoess_clipped.cnt")
    recording = read_recording(path)
    assert "int32" in recording.history["reading"]["notes"][0]
    sd = recording.get_data().std(axis=1)
    assert ((sd > 10) & (sd < 100)).all()  # read as 16 bit they are 3 and 0.0005 microvolts


# ---- wrong input, made on the fly -------------------------------------------------------------


def write_edf(
    path: Path, *labels: str, sfreq: float = 100, seconds: int = 10, **options: str
) -> Path:
    """An EDF file of 20 microvolt noise."""
    rng = np.random.default_rng(0)
    signals = [
        edfio.EdfSignal(
            np.clip(rng.normal(0, 20, int(sfreq * seconds)), -150, 150), sfreq, label=label,
            physical_dimension=options.get("dimension", "uV"), physical_range=(-200, 200),
        )
        for label in labels
    ]  # fmt: skip
    edfio.Edf(signals, data_record_duration=1).write(path)
    return path


def refusal(path: Path) -> str:
    """The one sentence by which a path is refused."""
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_missing_empty_and_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.edf").touch()
    assert "does not exist" in refusal(tmp_path / "absent.edf")
    assert "is empty (0 bytes)" in refusal(tmp_path / "empty.edf")
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    "suffix", [".edf", ".bdf", ".vhdr", ".set", ".fif", ".gdf", ".cnt", ".raw", ".lay", ".mff"]
)
def test_text_with_the_ending_of_a_recording(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"notes{suffix}"
    path.write_text("These are my notes about the recording. " * 20)
    assert "does not begin as" in refusal(path)


def test_unknown_ending(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("1,2,3")
    assert "unknown type: expected one of .edf, .bdf, .vhdr" in refusal(path)


@pytest.mark.parametrize(
    ("suffix", "magic"),
    [
        (".edf", b"0       "),
        (".bdf", b"\xffBIOSEMI"),
        (".vhdr", b"Brain Vision Data Exchange Header File Version 1.0\n"),
        (".set", b"MATLAB 5.0 MAT-file"),
        (".fif", b"\0\0\0\x64\0\0\0\x1f"),
        (".gdf", b"GDF 2.10"),
        (".cnt", b"Version 3.0"),
        (".cnt", b"RIFF\0\0\0\0CNT "),
        (".raw", b"\0\0\0\4"),
        (".eeg", b"EEG-1100C V01.00"),
        (".lay", b"[FileInfo]\n"),
    ],
)
def test_noise_behind_a_right_beginning(tmp_path: Path, suffix: str, magic: bytes) -> None:
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(magic + np.random.default_rng(0).bytes(3000))
    assert path.name in refusal(path)


def test_right_content_with_a_wrong_ending(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", "Fz").rename(tmp_path / "a.rec")
    assert "holds EDF data: rename it to end in .edf" in refusal(path)


def test_side_files_without_their_main_file(tmp_path: Path) -> None:
    for name, main in {
        "a.vmrk": ".vhdr",
        "b.eeg": ".vhdr",
        "c.fdt": ".set",
        "d.21E": ".EEG",
    }.items():
        (tmp_path / name).write_bytes(b"\1\2\3\4" * 50)
        assert main in refusal(tmp_path / name)


def test_truncated_edf_gives_its_whole_records_and_says_so(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", "Fz", "Cz")
    whole = read_recording(path).get_data()
    path.write_bytes(path.read_bytes()[: -2 * 2 * 100 * 3 - 37])  # three records and a bit
    recording = read_recording(path)
    assert recording.duration == 6.0
    np.testing.assert_array_equal(recording.get_data(), whole[:, :600])
    assert recording.history["reading"]["notes"] == [
        "truncated: 6 of 10 data records are there, 4 s are missing at the end"
    ]
    path.write_bytes(path.read_bytes()[: 256 * 3 + 100])
    assert "before its first data record" in refusal(path)
    path.write_bytes(path.read_bytes()[:300])
    assert "damaged EDF header" in refusal(path)


def test_edf_of_one_channel(tmp_path: Path) -> None:
    recording = read_recording(write_edf(tmp_path / "a.EDF", "EEG Fpz-Cz"))
    assert recording.ch_names == ["Fpz-Cz"]
    assert recording.get_data().shape == (1, 1000)


def test_edf_without_eeg(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", "ECG", "EOG left")
    assert "no EEG channel, only ECG (ecg by its name), EOG left (eog by its name)" in refusal(path)
    assert read_recording(path, ch_names=["EOG left"]).ch_names == ["EOG left"]


def test_edf_repeated_labels(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", "T8-P8", "Cz", "T8-P8", "EEG T3", "T7")
    recording = read_recording(path)
    assert recording.ch_names == ["T8-P8", "Cz", "T7"]
    assert recording.history["reading"]["dropped"] == {
        "T8-P8-1": "same electrode as T8-P8-0",
        "T7": "same electrode as EEG T3",
    }


def test_edf_of_a_flat_unit_free_or_wrong_dimension(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = np.clip(rng.normal(0, 20, 1000), -150, 150)

    def signal(label: str, dimension: str) -> edfio.EdfSignal:
        return edfio.EdfSignal(
            noise, 100, label=label, physical_dimension=dimension, physical_range=(-200, 200)
        )

    edfio.Edf([signal("Fz", "uV"), signal("Foo", "bpm")]).write(tmp_path / "a.edf")
    reading = read_recording(tmp_path / "a.edf").history["reading"]
    assert reading["dropped"] == {"Foo": "measured in bpm, not in volts"}
    edfio.Edf([signal("Fz", "")]).write(tmp_path / "b.edf")
    assert "pass units='uV'" in refusal(tmp_path / "b.edf")
    x = read_recording(tmp_path / "b.edf", units="uV").get_data()
    np.testing.assert_allclose(x[0], noise, atol=0.01)


def test_slow_and_foreign_channels_do_not_upsample_the_eeg(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def signal(label: str, sfreq: float) -> edfio.EdfSignal:
        return edfio.EdfSignal(rng.normal(0, 20, int(10 * sfreq)), sfreq, label=label,
                               physical_dimension="uV")  # fmt: skip

    signals = [signal("Fpz-Cz", 100), signal("EMG submental", 400), signal("Foo", 1)]
    edfio.Edf(signals, data_record_duration=1).write(tmp_path / "psg.edf")
    recording = read_recording(tmp_path / "psg.edf")
    assert recording.sfreq == 100
    assert recording.history["reading"]["dropped"] == {
        "EMG submental": "emg by its name",
        "Foo": "sampled at 1 Hz only",
    }
    assert not open_file(tmp_path / "psg.edf").data.preload

    edfio.Edf([signal("Fz", 100), signal("Cz", 200)], data_record_duration=1).write(
        tmp_path / "two_rates.edf"
    )
    recording = read_recording(tmp_path / "two_rates.edf")
    assert recording.sfreq == 200
    assert recording.history["reading"]["notes"] == ["Fz: recorded at 100 Hz, upsampled to 200 Hz"]
    pieces = [recording.get_data(i, i + 500) for i in range(0, 2000, 500)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), recording.get_data())


def test_errors_name_no_folder_even_with_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "Jane Doe"
    folder.mkdir()
    path = folder / "a.vhdr"
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=a.eeg\n"
        "DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=1\n"
        "SamplingInterval=1000\n[Binary Infos]\nBinaryFormat=INT_16\n"
        "[Channel Infos]\nCh1=Fz,,0.1,uV\n"
    )
    assert "Jane Doe" not in refusal(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interruption_and_lack_of_memory_pass_through(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mne

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(mne.io, "read_raw_edf", fail)
    with pytest.raises(error):
        read_recording(write_edf(tmp_path / "a.edf", "Fz"))


def test_every_refusal_is_a_value_error() -> None:
    assert issubclass(RecordingError, EEGFoundationError)
    assert issubclass(RecordingError, ValueError)
