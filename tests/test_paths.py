from pathlib import Path

import pytest

from eegfoundation import read_recording
from eegfoundation.errors import RecordingError
from eegfoundation.paths import expanded


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/a.edf") == Path("/home/me/a.edf")
    assert expanded(Path("a/~.edf")) == Path("a/~.edf")


@pytest.mark.parametrize("path", ["~nobody is called so/a.edf", "~$a.edf", "~\0/a.edf"])
def test_what_is_nobodys_home_is_left_as_it_is(path: str) -> None:
    assert expanded(path) == Path(path)
    with pytest.raises(RecordingError):
        read_recording(path)
