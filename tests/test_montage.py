"""Channel names, kinds and positions, over the spellings that devices and data sets really use."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegfoundation.errors import ChannelError
from eegfoundation.montage import (
    LONGITUDINAL_BIPOLAR,
    bipolar_pairs,
    channel_kind,
    normalise_name,
    positions,
    select_channels,
)

SPELLINGS = {
    "EEG FP1-REF": "Fp1",
    "EEG Fp1-LE": "Fp1",
    "EEG Fp1-Ref": "Fp1",
    "Fp1.": "Fp1",
    "FP1": "Fp1",
    " fp1 ": "Fp1",
    "Fc5.": "FC5",
    "CZ": "Cz",
    "aff1h": "AFF1h",
    "T3": "T7",
    "T4": "T8",
    "T5": "P7",
    "T6": "P8",
    "EEG T3-AR": "T7",
    "EEG F3-A2": "F3",
    "C3:M2": "C3",
    "F3-A1+A2": "F3",
    "C4-AVG": "C4",
    "A1-REF": "A1",
    "Fp1-F7": "Fp1-F7",
    "FP1 - F7": "Fp1-F7",
    "EEG T3-T5-REF": "T7-P7",
    "EEG Fpz-Cz": "Fpz-Cz",
    "A1-T3": "A1-T7",
    "EEG A2-A1": "A2-A1",
    "T8-P8-1": "T8-P8",  # running numbers of repeated labels
    "Fp1-0": "Fp1",
    "EEG-0": "EEG-0",
    "POL X1": "X1",
    "EEG EKG1-REF": "EKG1",
    "EEG 001": "EEG 001",
    "sine 8.5 Hz": "sine 8.5 Hz",
    "ch1": "ch1",
    "": "unnamed",
}

KINDS = {
    "eeg": "EEG FP1-REF, Fz, A1, T8-P8-0, O1, P1-O1, E1, E257, G1, EM1, ch1, EEG 001, POL C3",
    "eog": "EOG, HEOG, VEOG, EOG-L, EOG horizontal, VEOL, LOC, ROC-A1, E1-M2, EEG RLC-REF, SO1",
    "ecg": "ECG, EKG1, ECG ECG, ECGL, EEG EKG1-REF, POL EKG1",
    "emg": "EMG1, EMG-REF, EMG submental, Chin1-Chin2, LEG-L, EMG_L",
    "misc": "A2-A1, EEG A1-A2, STATUS, STI 014, TRIGGER, Resp oro-nasal, SpO2, SaO2 X9, "
    "PHOTIC-REF, IBI, BURSTS, SUPPR, DC01, POL DC01, POL E, POL X1, POL $A1, $A2, -, --0, EXG3, "
    "Ergo-Left, PULSE RATE, Temp rectal, EDF Annotations, Event marker, BIP1",
}

NAMES = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.sampled_from(
            [
                "EEG ",
                "POL ",
                "Fp1",
                "FP2",
                "T3",
                "A1",
                "M2",
                "REF",
                "-",
                "/",
                ".",
                " ",
                "0",
                "1",
                "X",
            ]
        ),
        max_size=7,
    ).map("".join),
)


@pytest.mark.parametrize(("name", "expected"), SPELLINGS.items())
def test_normalise_name(name: str, expected: str) -> None:
    assert normalise_name(name) == expected


@given(NAMES)
def test_normalising_twice_changes_nothing(name: str) -> None:
    new = normalise_name(name)
    assert new
    assert normalise_name(new) == new
    channel_kind(name)  # never fails


@given(st.text(min_size=1, max_size=8, alphabet=st.characters(categories=["L"])))
def test_a_name_of_letters_never_loses_any(name: str) -> None:
    assert normalise_name(name).casefold() == name.casefold()


@pytest.mark.parametrize(
    ("name", "kind"), [(n.strip(), kind) for kind, ns in KINDS.items() for n in ns.split(",")]
)
def test_channel_kind(name: str, kind: str) -> None:
    assert channel_kind(name) == kind


def test_positions_are_on_a_head_in_metres() -> None:
    fp1, fp2, cz, oz, t7 = positions(["Fp1", "FP2", "Cz", "EEG Oz-REF", "T3"])
    assert fp1[0] < 0 < fp2[0]  # left and right
    assert oz[1] < cz[1] < fp1[1]  # back to front
    assert cz[2] > 0.1 > t7[2]
    for electrode in (fp1, fp2, cz, oz, t7):
        assert 0.07 < np.linalg.norm(electrode) < 0.16


def test_positions_agree_with_mne() -> None:
    import mne

    names = ["Fp1", "C3", "Pz", "TP9"]
    info = mne.create_info(names, 100.0, "eeg", verbose="ERROR")
    info.set_montage("colin27_1005")
    np.testing.assert_allclose(positions(names), [ch["loc"][:3] for ch in info["chs"]])


def test_a_bipolar_channel_sits_midway() -> None:
    fp1, f7, between = positions(["Fp1", "F7", "Fp1-F7"])
    np.testing.assert_allclose(between, (fp1 + f7) / 2)


def test_unknown_positions_are_nan_not_guessed() -> None:
    known, *unknown = positions(["Fz", "X1", "Fz-X1", "E12", "T1"])
    assert np.isfinite(known).all()
    assert np.isnan(unknown).all()
    assert positions([]).shape == (0, 3)


def test_names_of_a_grid_say_nothing_about_the_scalp() -> None:
    grid = [f"{letter}{i}" for letter in "ABC" for i in range(1, 5)]
    assert np.isnan(positions(grid)).all()  # although C3, C4, A1 and A2 are electrodes elsewhere
    assert np.isfinite(positions([*grid, "Fz", "AF7"])[-2:]).all()
    assert np.isfinite(positions(["A1", "A2", "C3", "C4", "F3", "E1"])[:5]).all()


def test_bipolar_pairs() -> None:
    numbered = [f"{area}{i}" for area in ("FP", "F", "C", "P", "O") for i in (1, 2, 3, 4, 7, 8)]
    clinical = [*numbered, "T3", "T4", "T5", "T6", "FZ", "CZ", "PZ"]
    pairs = bipolar_pairs([f"EEG {name}-REF" for name in clinical])
    assert pairs == list(LONGITUDINAL_BIPOLAR)
    assert len(pairs) == len(set(pairs)) == 18
    assert bipolar_pairs(clinical, midline=False) == pairs[:16]
    assert bipolar_pairs(["T3", "P7", "O1", "Cz"]) == [("T7", "P7"), ("P7", "O1")]
    assert bipolar_pairs(["Fp1-F7", "F7-T7"]) == []
    assert np.isfinite(positions([f"{a}-{b}" for a, b in pairs])).all()


def test_select_keeps_the_first_of_repeated_electrodes() -> None:
    chosen = select_channels("x", ["T3", "T7", "ECG", "Fz", "STI"], ["eeg"] * 4 + ["stim"], None)
    assert chosen.picks == [0, 3]
    assert chosen.ch_names == ["T7", "Fz"]
    assert chosen.renamed == {"T3": "T7"}
    assert chosen.dropped == {
        "T7": "same electrode as T3",
        "ECG": "ecg by its name",
        "STI": "stim by its type",
    }


def test_select_by_original_or_normalised_name_in_the_order_asked() -> None:
    originals = ["EEG FP1-REF", "EEG T3-REF", "EOG"]
    chosen = select_channels("x", originals, ["eeg"] * 3, ["EOG", "T7", "EEG FP1-REF"])
    assert chosen.picks == [2, 1, 0]
    assert chosen.dropped == {}
    with pytest.raises(ChannelError, match=r"x has no channel 'Cz'.*EEG FP1-REF, EEG T3-REF, EOG"):
        select_channels("x", originals, ["eeg"] * 3, ["Cz"])
    with pytest.raises(ChannelError, match="T7 more than once"):
        select_channels("x", originals, ["eeg"] * 3, ["T3", "T7"])
