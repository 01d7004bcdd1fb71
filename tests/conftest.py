"""What the tests of the user-facing part share: a small encoder, in memory and on disk."""

import warnings

import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="session")
def no_context_of_other_days(tmp_path_factory):
    """Context vectors are kept on disk: a test that finds yesterday's would test nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EEGFOUNDATION_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def encoder():
    """Random and tiny, but alike for alike amplitudes, as training makes them.

    Random tokens have nothing to do with their neighbours: 0.01 microvolts would change everything,
    and no comparison between two computations of the same signal would mean anything.
    """
    import torch

    from eegfoundation import load_encoder

    torch.set_num_threads(1)  # so small that several threads only wait for each other
    model = load_encoder("tiny", weights="random")
    table = model.embeddings.word_embeddings.weight
    rng = np.random.default_rng(0)
    knots = np.linspace(0, 1999, 31)
    values = [np.interp(np.arange(2000), knots, rng.normal(size=31)) for _ in range(table.shape[1])]
    with torch.no_grad():
        table[:2000] = torch.from_numpy(np.stack(values, axis=1))
    return model


@pytest.fixture(scope="session")
def encoder_folder(encoder, tmp_path_factory):
    """The same encoder as a checkpoint, for commands."""
    folder = tmp_path_factory.mktemp("encoder") / "of_tests"
    encoder.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def given(encoder, encoder_folder, tmp_path_factory):
    """Folder with what every command reads, see `command_inputs`."""
    from command_inputs import make_inputs

    folder = tmp_path_factory.mktemp("given")
    make_inputs(folder, encoder, encoder_folder)
    return folder


@pytest.fixture
def command(capfd):
    """Run `eegfoundation` within this process: exit code, lines on stdout, lines on stderr."""
    from eegfoundation.cli import main

    def run(*args):
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # as for a user; pytest makes them errors
            try:
                code = main([str(arg) for arg in args])
            except SystemExit as exit_:  # argparse
                code = exit_.code
        out, err = capfd.readouterr()
        return (
            code,
            out.splitlines(),
            [
                line
                for line in err.splitlines()
                if "UNTRAINED" not in line and "SIMULATED" not in line
            ],
        )

    return run
