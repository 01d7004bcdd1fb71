"""The command `eegfoundation stream`."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from eegfoundation.errors import ConfigError

if TYPE_CHECKING:
    from eegfoundation.streaming.session import Session
    from eegfoundation.streaming.sources import Source

_MOST_THREADS = 1024


def stream(
    checkpoint: str | None = None,
    classifier_config: str | None = None,
    lsl: str | None = None,
    replay: str | None = None,
    speed: float = 1.0,
    out: str | None = None,
    outlet: str | None = None,
    window: float | None = None,
    every: float = 0.1,
    max_unusable: float = 0.5,
    calibration: float = 60.0,
    duration: float | None = None,
    timeout: float = 10.0,
    sfreq: float | None = None,
    ch_names: list[str] | None = None,
    units: str | None = None,
    line_freq: float | None = None,
    threads: int = 1,
    dtype: str | None = None,
    overwrite: bool = False,
) -> None:
    """Predict in real time, from a Lab Streaming Layer stream or a file replayed.

    Parameters
    ----------
    checkpoint : str | None
        Weights of a classifier (.pth), a folder of a classifier or encoder, or the name of an
        encoder; default: the motor-imagery classifier that ships.
    classifier_config : str | None
        Configuration (.json) of a .pth.
    lsl : str | None
        Name of an LSL stream (needs eegfoundation[realtime]).
    replay : str | None
        A recording to replay instead.
    speed : float
        Of the replay: 1 is real time, 0 as fast as possible.
    out : str | None
        File (.csv) for the predictions; what was done goes to <out>.preprocessing.json.
    outlet : str | None
        Name of an LSL stream of predictions to offer (needs eegfoundation[realtime]).
    window : float | None
        Length of a window in seconds; default: what the model was made for, 10 s for an encoder.
    every : float
        Seconds from one prediction to the next.
    max_unusable : float
        Share of unusable samples in a window beyond which nothing is predicted.
    calibration : float
        Seconds that a classifier which aligns its input looks at first.
    duration : float | None
        Seconds of the stream after which to end; default: when it ends, or on Ctrl-C.
    timeout : float
        Seconds to look for the LSL stream.
    sfreq : float | None
        Sampling rate in Hz, for replaying a .npy file.
    ch_names : list of str | None
        Channels to use, in this order.
    units : str | None
        Unit of the numbers, if they are not what the source claims: V, mV, uV or nV.
    line_freq : float | None
        Mains frequency in Hz; default: what the file says, else what the first seconds show.
    threads : int
        Processor cores to compute on.
    dtype : str | None
        To compute in, float32 or bfloat16 (nearly the same numbers); default: bfloat16 where the
        processor multiplies it itself, which is faster, else float32.
    overwrite : bool
        Replace an existing file.
    """
    if (lsl is None) == (replay is None):
        raise ConfigError("A stream comes from one place: give either --lsl NAME or --replay FILE.")
    if threads < 1:
        raise ConfigError(f"threads must be at least 1, found {threads}.")
    if threads > _MOST_THREADS:
        raise ConfigError(f"threads must be at most {_MOST_THREADS}, found {threads}.")
    if duration is not None and not duration > 0:
        raise ConfigError(f"duration must be a positive number of seconds, found {duration!r}.")

    from eegfoundation.outputs import write_json
    from eegfoundation.prediction import load_model
    from eegfoundation.streaming.decoder import Decoder
    from eegfoundation.streaming.lsl import LSLOutlet
    from eegfoundation.streaming.session import Session
    from eegfoundation.streaming.sinks import CSVWriter
    from eegfoundation.streaming.view import View

    loaded = load_model(checkpoint, classifier_config)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(_stopping())
        stack.enter_context(_threads(threads))
        source = _open(lsl, replay, speed, timeout, sfreq, ch_names, units)
        stack.callback(source.close)
        decoder = Decoder(
            loaded,
            source.recording.positions,
            calibration=calibration,
            max_unusable=max_unusable,
            dtype=dtype,
        )
        session = Session(source, decoder, window, every, line_freq=line_freq)
        title = f"{source.recording.name}: {source.recording.n_chans} channels at "
        title += f"{source.recording.sfreq:g} Hz, a prediction every {every:g} s"
        view = stack.enter_context(View(title, decoder.classes, session.ch_names))
        sinks: list[CSVWriter | LSLOutlet] = []
        if out is not None:
            names = decoder.names
            sinks.append(
                stack.enter_context(CSVWriter(out, names, session.ch_names, overwrite=overwrite))
            )
        if outlet is not None:
            sinks.append(LSLOutlet(outlet, decoder.names))
        began: float | None = None
        try:
            for row in session.rows(stop.is_set):
                for sink in sinks:
                    sink.write(row)
                view.show(row)
                began = row.time if began is None else began
                if duration is not None and row.time - began >= duration:
                    break
        finally:
            if out is not None:
                path = Path(out).with_suffix(".preprocessing.json")
                write_json(path, session.history, overwrite=True)
    print(_summary(session, out))


def _open(
    lsl: str | None,
    replay: str | None,
    speed: float,
    timeout: float,
    sfreq: float | None,
    ch_names: list[str] | None,
    units: str | None,
) -> Source:
    if lsl is not None:
        from eegfoundation.streaming.lsl import LSLSource

        return LSLSource(lsl, timeout, ch_names=ch_names, units=units)
    from eegfoundation.streaming.sources import ReplaySource

    return ReplaySource(replay, speed, sfreq=sfreq, ch_names=ch_names, units=units)


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """The first Ctrl-C (or SIGTERM) asks to end after the present row, a second ends at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals belong to the main thread
        return
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def ask(kind: int, frame: object) -> None:
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for kind in before:
        signal.signal(kind, ask)
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextlib.contextmanager
def _threads(n: int) -> Iterator[None]:
    """Compute on so many cores: small models on many cores mostly wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _summary(session: Session, out: str | None) -> str:
    counts = session.windows.clock.counts
    text = f"{session.n_predicted} predictions, {session.n_skipped} skipped; "
    text += f"{counts.n_gaps} gaps ({counts.n_missing} samples), {counts.n_late} late samples"
    return text if out is None else f"{out}: {text}"
