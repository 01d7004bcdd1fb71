"""What the tests of integrations share: windows of braindecode, of simulated people."""

import pytest
import torch
from simulated_people import SFREQ, person


@pytest.fixture(autouse=True)
def _seed():
    """A classifier's fusion and the order of its batches are drawn: the same in every run."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def make_windows():
    """Windows of 2 s in microvolts, as braindecode cuts them; or skip."""
    pytest.importorskip(
        "braindecode", reason="braindecode is not installed: make test-integrations"
    )
    from braindecode.datasets import BaseConcatDataset, RawDataset
    from braindecode.preprocessing import create_windows_from_events

    def make(n_subjects=2, scale=1e6, **kwargs):
        people = [
            RawDataset(person(i, scale), {"subject": f"P{i}", "session": "one"})
            for i in range(n_subjects)
        ]
        return create_windows_from_events(
            BaseConcatDataset(people),
            trial_start_offset_samples=0,
            trial_stop_offset_samples=-round(2 * SFREQ),
            preload=True,
            **kwargs,
        )

    return make


@pytest.fixture(scope="session")
def model_class():
    """EEGFoundation for braindecode; or skip."""
    pytest.importorskip(
        "braindecode", reason="braindecode is not installed: make test-integrations"
    )
    from eegfoundation.integrations.braindecode import EEGFoundation

    return EEGFoundation
