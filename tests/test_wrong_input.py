"""Real files of every vendor and everything that can be wrong with a file, through `embed`.

Each gives a correct result or one clear sentence, never a traceback and never half a file.
"""

import json
import re

import numpy as np
import pytest

from eegfoundation import Embeddings
from eegfoundation.embedding import embed_files
from eegfoundation.errors import RecordingError
from samples import NAMES, files_in, noise, waves, write_edf
from shared_data import format_files, shared_path

SIZE = 128

# ---- real files ---------------------------------------------------------------------------------

#: Refused with these words. Every other file gives embeddings.
REFUSED = {
    "MB0400FU.21E": "give its main file MB0400FU.EEG",
    "MB0400FU.LOG": "give its main file MB0400FU.EEG",
    "MB0400FU.PNT": "give its main file MB0400FU.EEG",
    "SC4001EC-Hypnogram.edf": "has annotations but no signal",
    "ssvep_exo_raw.fif": "look like mV: pass units='mV'",
    "test_1ch.gdf": "no EEG channel",
    "test_epochs_onefile.set": r"epochs must last at least 0\.5 s, found 0\.16 s",
    "test_raw_h5.set": "needs another file that is missing",
}

#: Share of windows and channels with anything usable, where that is not all.
PARTLY_USABLE = {
    # of its two channels one is marked as bad; BAD annotations cover five of nine windows
    "test_CNT_events_mne_JWoess_clipped.cnt": 4 / 18,
    "egi_dig_test.raw": 237 / 257,  # flat channels, and drifts beyond 500 microvolts
    "test_raw_chanloc.fdt": 60 / 61,  # one channel is zero throughout
    "test_raw_chanloc.set": 60 / 61,
    "test_utf8_annotations.edf": 8 / 9,  # a slow square wave, flat between its edges
}


def test_real_files_were_looked_at():
    names = format_files()
    if not names:
        shared_path("formats")  # skips, and says where it looked
    assert len(names) >= 27
    assert set(names) >= set(REFUSED)


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")
@pytest.mark.parametrize("name", format_files())
def test_every_format_is_embedded_or_refused(name, encoder_folder, tmp_path, capfd):
    path = shared_path("formats", name)
    if name in REFUSED:
        with pytest.raises(RecordingError, match=REFUSED[name]) as caught:
            embed_files([str(path)], str(tmp_path), str(encoder_folder))
        sentence = str(caught.value)
        assert "\n" not in sentence
        assert sentence.endswith(".")
        assert str(path.parent) not in sentence
        assert files_in(tmp_path) == []
        assert capfd.readouterr() == ("", "")
        return
    embed_files([str(path)], str(tmp_path), str(encoder_folder))
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 1
    assert err == ""  # readers print and log
    (written,) = tmp_path.glob("*.npz")
    found = Embeddings.load(written)
    n_rows, n_chans = found.quality.shape
    assert found.values.shape == (n_rows, n_chans, SIZE)
    assert n_chans == len(found.ch_names) >= 1
    windows = found.history["windows"]
    duration = (n_rows - 1) * 10 + windows["window"]
    assert windows["n_done"] == n_rows
    assert 0 <= windows["tail_seconds"] < 10
    np.testing.assert_allclose(found.times[-1] + windows["window"] / 2, duration)
    assert np.isfinite(found.values[found.quality > 0]).all()
    usable = (found.quality > 0).mean()
    assert usable == pytest.approx(PARTLY_USABLE.get(name, 1.0), abs=1e-6)
    history = json.loads(written.with_suffix(".preprocessing.json").read_text(encoding="utf-8"))
    assert history == found.history
    assert str(path.parent) not in json.dumps(history)


def test_units_that_a_file_gets_wrong_can_be_mended(embed, tmp_path):
    path = shared_path("formats", "ssvep_exo_raw.fif")
    code, _, err = embed(path, "--units", "mV")
    assert (code, err) == (0, [])
    (written,) = (tmp_path / "out").glob("*.npz")
    assert (Embeddings.load(written).quality > 0).any()


# ---- wrong input, made on the fly ---------------------------------------------------------------


@pytest.fixture
def embed(command, encoder_folder, tmp_path):
    """`eegfoundation embed --model <tiny> --out <tmp_path>/out`."""
    more = ("--model", encoder_folder, "--out", tmp_path / "out")
    return lambda *args: command("embed", *args, *more)


@pytest.fixture
def result(embed, tmp_path):
    """What `embed` writes for a file that is right."""

    def run(*args):
        code, out, err = embed(*args)
        assert (code, len(out), err) == (0, 1, [])
        (written,) = (tmp_path / "out").glob("*.npz")
        return Embeddings.load(written)

    return run


@pytest.fixture
def sentence(embed, tmp_path):
    """What `embed` says of a file that is wrong."""

    def run(*args):
        code, out, err = embed(*args)
        assert (code, out, len(err)) == (2, [], 1), err
        assert re.fullmatch(r"eegfoundation: .{20,400}[.?]", err[0])
        assert files_in(tmp_path / "out") == []
        return err[0]

    return run


def test_a_text_file_named_edf(sentence, tmp_path):
    (tmp_path / "x.edf").write_text("subject 1, session 2\n" * 500)
    assert "does not begin as EDF files do" in sentence(tmp_path / "x.edf")


@pytest.mark.parametrize("n_bytes", [1, 100, 256, 700, 1024])
def test_an_edf_cut_within_its_header(sentence, tmp_path, n_bytes):
    path = write_edf(tmp_path / "x.edf")
    path.write_bytes(path.read_bytes()[:n_bytes])
    said = sentence(path)
    assert re.search("does not begin as|damaged EDF header|before its first data record", said)


def test_an_edf_cut_within_its_data_gives_what_is_there(result, tmp_path):
    path = write_edf(tmp_path / "x.edf", waves(100, duration=30))
    content = path.read_bytes()
    record = 3 * 100 * 2  # channels, samples and bytes of a second
    path.write_bytes(content[: len(content) - 8 * record - 333])
    found = result(path)
    assert found.values.shape == (2, 3, SIZE)
    assert np.isfinite(found.values).all()
    (note,) = found.history["reading"]["notes"]
    assert "21 of 30 data records are there, 9 s are missing" in note


def test_an_edf_of_one_channel(result, tmp_path):
    found = result(write_edf(tmp_path / "x.edf", waves(100, n_chans=1), ["EEG Cz"]))
    assert found.values.shape == (3, 1, SIZE)
    assert found.ch_names == ["Cz"]
    assert np.isfinite(found.values).all()


def test_an_edf_of_three_seconds(result, tmp_path):
    found = result(write_edf(tmp_path / "x.edf", waves(100, duration=3)))
    assert found.values.shape == (1, 3, SIZE)
    assert np.isfinite(found.values).all()
    np.testing.assert_allclose(found.times, 1.5)
    assert "one window of 3 s" in found.history["windows"]["notes"][0]
    assert found.history["preprocessing"]["notes"]  # too short for the high-pass, and said


def test_an_edf_of_zeros(result, tmp_path):
    found = result(write_edf(tmp_path / "x.edf", np.zeros((3, 2000))))
    assert found.values.shape == (2, 3, SIZE)
    assert np.isnan(found.values).all()
    np.testing.assert_array_equal(found.quality, 0)
    log = found.history["windows"]
    assert log["n_empty"] == 2
    assert log["unusable"]["flat"] == log["n_samples"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(result, tmp_path, value):
    x = waves(200).astype(np.float32)
    x[0, 100:1100] = value
    x[1] = value
    np.save(tmp_path / "x.npy", x)
    found = result(tmp_path / "x.npy", "--sfreq", "200", "--ch_names", "[C3, Cz, C4]")
    np.testing.assert_allclose(found.quality, [[0.5, 0, 1], [1, 0, 1], [1, 0, 1]])
    assert np.isnan(found.values[:, 1]).all()
    assert np.isfinite(found.values[:, [0, 2]]).all()
    assert np.isfinite(found.pooled()).all()
    assert found.history["windows"]["unusable"]["non-finite"] == 1000 + 6000


def test_nothing_but_nan(result, tmp_path):
    np.save(tmp_path / "x.npy", np.full((3, 2000), np.nan))
    found = result(tmp_path / "x.npy", "--sfreq", "200")
    assert np.isnan(found.values).all()
    assert found.history["windows"]["n_empty"] == 1


def test_duplicate_names_in_a_file_keep_the_first(result, tmp_path):
    x = waves(100)
    found = result(write_edf(tmp_path / "x.edf", x, ["C3", "Cz", "C3"]))
    assert found.ch_names == ["C3", "Cz"]
    assert len(found.history["reading"]["dropped"]) == 1


def test_names_that_become_the_same(result, tmp_path):
    found = result(write_edf(tmp_path / "x.edf", waves(100), ["T3", "Cz", "T7"]))
    assert found.ch_names == ["T7", "Cz"]


def test_duplicate_names_that_a_user_gives_are_refused(sentence, tmp_path):
    np.save(tmp_path / "x.npy", waves(100))
    said = sentence(tmp_path / "x.npy", "--sfreq", "100", "--ch_names", "[C3, Cz, C3]")
    assert "C3 more than once" in said


@pytest.mark.parametrize(("unit", "per_volt"), [("V", 1.0), ("mV", 1e3), ("nV", 1e9)])
def test_another_unit_taken_for_microvolts(sentence, tmp_path, unit, per_volt):
    np.save(tmp_path / "x.npy", waves(200) * 1e-6 * per_volt)
    assert f"pass units='{unit}'" in sentence(tmp_path / "x.npy", "--sfreq", "200")


def test_an_edf_that_declares_microvolts_and_holds_volts(sentence, result, tmp_path):
    path = write_edf(tmp_path / "x.edf", waves(100) * 1e-4)
    assert "median channel SD" in sentence(path)
    # read in spite of the header; the numbers are then what the user says they are
    assert result(path, "--units", "V").history["reading"]["units"] == "V"


def test_a_transposed_array(sentence, tmp_path):
    np.save(tmp_path / "x.npy", waves(200).T)
    assert "looks transposed" in sentence(tmp_path / "x.npy", "--sfreq", "200")


def test_an_array_of_something_else(sentence, tmp_path):
    np.save(tmp_path / "x.npy", np.array(["a", "b"]))
    assert "expected real numbers of shape (n_chans, n_times)" in sentence(
        tmp_path / "x.npy", "--sfreq", "200"
    )
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "cannot be read as a .npy file of numbers" in sentence(
        tmp_path / "x.npy", "--sfreq", "200"
    )


def test_an_edf_without_eeg(sentence, tmp_path):
    said = sentence(write_edf(tmp_path / "x.edf", noise(2, 1200), ["ECG", "EOG left"]))
    assert "no EEG channel, only ECG (ecg by its name), EOG left (eog by its name)" in said


def test_a_name_with_blanks_and_umlauts(result, tmp_path):
    path = write_edf(tmp_path / "Müllers Nacht" / "a b µ.edf", waves(100), NAMES[:3])
    assert result(path).history["reading"]["source"] == "a b µ.edf"
    assert "a b µ_embeddings.npz" in files_in(tmp_path / "out")
