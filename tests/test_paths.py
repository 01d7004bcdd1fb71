from collections.abc import Callable
from pathlib import Path

import pytest

from eegfoundation import load_encoder, read_recording
from eegfoundation.corpus.reader import Corpus
from eegfoundation.errors import EEGFoundationError, RecordingError
from eegfoundation.models import EEGFoundationConfig, load_downstream_model
from eegfoundation.paths import expanded
from eegfoundation.tasks import load_task


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/a.edf") == Path("/home/me/a.edf")
    assert expanded(Path("a/~.edf")) == Path("a/~.edf")


@pytest.mark.parametrize("path", ["~nobody is called so/a.edf", "~$a.edf", "~\0/a.edf"])
def test_what_is_nobodys_home_is_left_as_it_is(path: str) -> None:
    assert expanded(path) == Path(path)
    with pytest.raises(RecordingError):
        read_recording(path)


@pytest.mark.parametrize(
    "name", ["A" * 3000, "a/" + "A" * 3000, "a\0b"], ids=["long", "in a", "NUL"]
)
@pytest.mark.parametrize(
    "read",
    [
        read_recording,
        load_encoder,
        lambda name: load_encoder(name, weights="random"),
        lambda name: load_downstream_model(name, load_encoder("nano")),
        EEGFoundationConfig.from_json_file,
        EEGFoundationConfig.from_pretrained,
        Corpus,
        load_task,
        lambda name: load_task(f"{name}.csv"),
    ],
    ids=["recording", "encoder", "random", "model", "json", "config", "corpus", "task", "table"],
)
def test_names_that_no_file_can_have_are_refused(read: Callable[[str], object], name: str) -> None:
    with pytest.raises(EEGFoundationError):
        read(name)
