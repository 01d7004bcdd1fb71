"""Make the files of this folder, bit for bit the same on every machine.

    python demo_data/make_data.py            writes them
    python demo_data/make_data.py --check    says whether they are what it would write

Processors differ in the last digits of sine, exponential and matrix products. Values are therefore
rounded to a grid some 10^10 times coarser than that before they are saved, and the containers are
written without clocks, names of machines or compression (whose result depends on the library).
Needs the extra `edf` (the EDF+ writer).
"""

import argparse
import datetime
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegfoundation.rereferencing import N_ZERO_ELECTRODES
from eegfoundation.synthetic import (
    BCIC_2A_CHANNELS,
    CLASSES,
    simulate_motor_imagery,
    simulate_resting,
)

FOLDER = Path(__file__).resolve().parent

# Persons from 1000 on appear in this folder only: training and its tests stay below.
FIRST_SUBJECT = 1000

# The EDF grid: 16 bits at 0.05 uV, so the physical limits are exact in the header's 8 characters.
STEP_UV = 0.05
DIGITAL_RANGE = (-32768, 32767)
PHYSICAL_RANGE = (-1638.4, 1638.35)


def motor_imagery() -> bytes:
    """Twelve trials of imagery at 250 Hz, as recorded, in an EDF+ file."""
    import edfio

    recording = simulate_motor_imagery(n_trials_per_class=3, subject=FIRST_SUBJECT)
    digital = np.rint(recording.data / STEP_UV)
    assert np.abs(digital).max() < DIGITAL_RANGE[1], "the simulated amplitudes leave the EDF range"
    signals = [
        edfio.EdfSignal.from_digital(
            row.astype(np.int16),
            recording.sfreq,
            label=name,
            transducer_type="simulated",
            physical_dimension="uV",
            physical_range=PHYSICAL_RANGE,
            digital_range=DIGITAL_RANGE,
        )
        for row, name in zip(digital, recording.ch_names, strict=True)
    ]
    edf = edfio.Edf(
        signals,
        patient=edfio.Patient(),  # "X X X X": nobody
        recording=edfio.Recording(startdate=datetime.date(1985, 1, 1)),
        starttime=datetime.time(0, 0, 0),
        data_record_duration=1,
        annotations=[edfio.EdfAnnotation(*event) for event in recording.events],
    )
    return edf.to_bytes()


def windows() -> bytes:
    """Fifty windows of rest, (50, 2000) float32 uV: ten persons, five channels of each, 200 Hz."""
    rows = [
        simulate_resting(
            ["Fp1", "Fz", "C3", "Pz", "Oz"],
            duration=10.0,
            sfreq=200.0,
            subject=FIRST_SUBJECT + person,
            eyes="closed" if person % 2 else "open",
            line_freq=None,
        ).data
        for person in range(10)
    ]
    buffer = io.BytesIO()
    np.save(buffer, np.concatenate(rows).round(2).astype(np.float32))
    return buffer.getvalue()


def trials() -> bytes:
    """Eight trials, two of each class by two persons, and their context vectors."""
    sessions = [
        simulate_motor_imagery(
            sfreq=200.0, n_trials_per_class=1, subject=FIRST_SUBJECT + person, line_freq=None
        )
        for person in range(2)
    ]
    x, y = (np.concatenate(parts) for parts in zip(*(s.trials() for s in sessions), strict=True))
    # the soft average reference, which the shipped models are used to
    x = x - x.sum(axis=1, keepdims=True) / (x.shape[1] + N_ZERO_ELECTRODES)
    signal = x.round(2).astype(np.float32)
    return _npz(
        signal=signal,
        embedding=embed_trials(signal),
        labels=y,
        class_names=np.array(CLASSES),
        ch_names=np.array(BCIC_2A_CHANNELS),
        sfreq=np.array(200.0),
    )


def embed_trials(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Context vectors of the shipped encoder: (n, n_chans, n_times) uV -> (n, n_chans, 512)."""
    import torch

    from eegfoundation.models import load_encoder

    encoder = load_encoder("small").double().eval()  # in double precision rounding is safe
    with torch.inference_mode():
        vectors = encoder.embed_signal(torch.from_numpy(signal).double())
    return vectors.numpy().round(3).astype(np.float32)


def _npz(**arrays: NDArray[np.generic]) -> bytes:
    """As `numpy.savez`, but with the same bytes on every system."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980
            member.create_system = 3
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(member, content.getvalue())
    return buffer.getvalue()


FILES = {
    "motor_imagery.edf": motor_imagery,
    "eeg_data.npy": windows,
    "downstream_eeg_data.npz": trials,
}


def main(arguments: list[str] | None = None) -> int:
    """Write or check every file; the exit code is 1 if a checked file differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args(arguments).check
    same = True
    for name, make in FILES.items():
        path, made = FOLDER / name, make()
        if check:
            found = path.read_bytes() if path.exists() else b""
            same &= found == made
            verdict = "as made" if found == made else "differs" if found else "missing"
        else:
            path.write_bytes(made)
            verdict = "written"
        print(f"{name}: {verdict} ({len(made):,} bytes)")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
