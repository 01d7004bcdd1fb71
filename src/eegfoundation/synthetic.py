"""Simulated EEG: the same numbers on every machine, and no download.

The demo, the docs, the tests and the motor-imagery model of the quick start need recordings that
may be shipped and whose truth is known. A recording is a sum, in microvolts, of

- *background*: 1/f activity of cortical patches, mixed into electrodes by their distance,
- *alpha*: bursting, about 10 Hz, strongest over O1/Oz/O2, stronger with eyes closed,
- *mu and beta*: rhythms of the hand, foot and face areas, which an imagined movement
  desynchronises (`ERD`); this is all that tells one trial's class from another's,
- *nuisance*: blinks, mains hum, slow electrode drift and amplifier noise.

Two numbers choose a recording: `subject` fixes what belongs to a person (frequencies, amplitudes,
depth of the desynchronisation), `seed` what belongs to a session. Every component and every
electrode has random numbers of its own, so simulating some of the channels gives the same signals
as simulating all of them.

The trade-off is realism for clarity: sources are independent and Gaussian, the head is a ball whose
fields fade with distance, and there are no muscles, no eye movements and no learning. Whatever a
model reaches on these signals says that it works, not that it would work on people.

References: Pfurtscheller & Lopes da Silva (1999), Clin. Neurophysiol. 110, 1842-1857, for the
desynchronisation; Tangermann et al. (2012), Front. Neurosci. 6, 55, for the course of a trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from eegfoundation import montage
from eegfoundation.errors import ConfigError
from eegfoundation.synthetic_sources import ERD, Event, FloatArray, Sources, random_stream

if TYPE_CHECKING:
    import mne

# fmt: off
#: The 22 channels of BCI Competition IV, data set 2a, in the order of its files.
BCIC_2A_CHANNELS = (
    "Fz",
    "FC3", "FC1", "FCz", "FC2", "FC4",
    "C5", "C3", "C1", "Cz", "C2", "C4", "C6",
    "CP3", "CP1", "CPz", "CP2", "CP4",
    "P1", "Pz", "P2",
    "POz",
)
# fmt: on

#: The four imagined movements, in the order of their labels 0 to 3.
CLASSES = tuple(ERD)

# Seconds of one trial of data set 2a: the cue comes after 2 s, imagery lasts 4 s, then a pause.
FIXATION, IMAGERY, PAUSE = 2.0, 4.0, (1.5, 2.5)


@dataclass(frozen=True, kw_only=True)
class SyntheticRecording:
    """A simulated recording.

    Attributes
    ----------
    data : ndarray, shape (n_chans, n_times)
        Microvolts against linked mastoids, float64, unfiltered.
    sfreq : float
        Sampling rate in Hz.
    ch_names : list of str
        Channel names in the order of `data`.
    events : list of (float, float, str)
        Onset and duration in seconds and class, e.g. ``(3.0, 4.0, "left_hand")``: the onset is the
        cue, imagery lasts for the duration.
    subject : int
        The simulated person.
    """

    data: FloatArray
    sfreq: float
    ch_names: list[str]
    events: list[Event] = field(default_factory=list)
    subject: int = 0

    def trials(
        self, start: float = 0.0, stop: float = IMAGERY
    ) -> tuple[FloatArray, NDArray[np.int64]]:
        """Cut the trials out.

        Parameters
        ----------
        start, stop : float
            Seconds relative to the cue.

        Returns
        -------
        x : ndarray, shape (n_trials, n_chans, n_times)
            Microvolts.
        y : ndarray, shape (n_trials,)
            Labels, indices into `CLASSES`.

        Raises
        ------
        ConfigError
            If there are no trials, or the recording does not hold that span of each.
        """
        n_times = round((stop - start) * self.sfreq)
        first = [round((onset + start) * self.sfreq) for onset, _, _ in self.events]
        last_start = self.data.shape[1] - n_times
        if n_times < 1 or not first or min(first) < 0 or max(first) > last_start:
            raise ConfigError(
                f"{start} to {stop} s around the cues of {len(first)} trials do not lie within the "
                "recording: choose a span within -2 to 5 s of a motor-imagery session"
            )
        x = np.stack([self.data[:, begin : begin + n_times] for begin in first])
        return x, np.array([CLASSES.index(name) for _, _, name in self.events], dtype=np.int64)

    def to_raw(self) -> mne.io.RawArray:
        """Copy into an `mne.io.RawArray` (volts) with electrode positions and annotations."""
        import mne

        info = mne.create_info(self.ch_names, self.sfreq, "eeg")
        info["subject_info"] = {"his_id": f"simulated-{self.subject}"}
        for ch, position in zip(info["chs"], montage.positions(self.ch_names), strict=True):
            ch["loc"][:3] = position
        raw = mne.io.RawArray(self.data * 1e-6, info, verbose="error")
        onsets, durations, names = zip(*self.events, strict=True) if self.events else ((), (), ())
        return raw.set_annotations(mne.Annotations(onsets, durations, names))


def simulate_motor_imagery(
    ch_names: Sequence[str] = BCIC_2A_CHANNELS,
    *,
    sfreq: float = 250.0,
    n_trials_per_class: int = 3,
    seed: int = 0,
    subject: int = 0,
    snr: float = 1.0,
    line_freq: float | None = 50.0,
) -> SyntheticRecording:
    """Simulate one session of four-class motor imagery.

    Trials of all classes come in random order, timed as in BCI Competition IV 2a: the cue 2 s after
    the trial begins, 4 s of imagery, a pause of 1.5 to 2.5 s.

    Parameters
    ----------
    ch_names : sequence of str
        Any electrodes. Those of unknown position show background and electrode noise only.
    sfreq : float
        Sampling rate in Hz; rhythms above half of it are absent.
    n_trials_per_class : int
        Number of trials of each of the four classes, 1 or more.
    seed, subject : int
        Session and person, both 0 or more.
    snr : float
        Factor on the amplitude of the mu and beta rhythms: 1 is a person with clear rhythms, 0.5 a
        difficult one; at 0 a trial holds no information on its class.
    line_freq : float or None
        Mains hum in Hz (50 or 60), or None for none.

    Returns
    -------
    SyntheticRecording
        Its events are the trials.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """
    if n_trials_per_class < 1 or not 0 <= snr < math.inf:
        raise ConfigError(
            f"n_trials_per_class={n_trials_per_class} and snr={snr} were asked for: "
            "choose at least one trial and a finite snr of 0 or more"
        )
    rng = random_stream("order of trials", subject, seed)
    events, clock = [], 1.0
    for label in rng.permutation(np.repeat(np.arange(len(CLASSES)), n_trials_per_class)):
        events.append((round(clock + FIXATION, 2), IMAGERY, CLASSES[label]))
        clock += FIXATION + IMAGERY + rng.uniform(*PAUSE)
    sources = Sources.create(ch_names, math.ceil(clock), sfreq, seed, subject)
    return _record(sources, events, snr=snr, alpha=1.0, blinks_per_minute=8.0, line_freq=line_freq)


def simulate_resting(
    ch_names: Sequence[str] = BCIC_2A_CHANNELS,
    *,
    duration: float = 60.0,
    sfreq: float = 250.0,
    seed: int = 0,
    subject: int = 0,
    eyes: Literal["open", "closed"] = "open",
    line_freq: float | None = 50.0,
) -> SyntheticRecording:
    """Simulate rest with open eyes (blinks) or closed eyes (three times the alpha amplitude).

    Parameters
    ----------
    ch_names, sfreq, seed, subject, line_freq
        See `simulate_motor_imagery`.
    duration : float
        Seconds.
    eyes : {"open", "closed"}
        State of the eyes.

    Returns
    -------
    SyntheticRecording
        Without events.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """
    if eyes not in ("open", "closed"):
        raise ConfigError(f"eyes={eyes!r} was asked for: choose 'open' or 'closed'")
    sources = Sources.create(ch_names, duration, sfreq, seed, subject)
    alpha, blinks = (1.0, 15.0) if eyes == "open" else (3.0, 0.0)
    return _record(sources, [], snr=1.0, alpha=alpha, blinks_per_minute=blinks, line_freq=line_freq)


def _record(
    sources: Sources,
    events: list[Event],
    *,
    snr: float,
    alpha: float,
    blinks_per_minute: float,
    line_freq: float | None,
) -> SyntheticRecording:
    """Add the components up."""
    data = sources.background() + alpha * sources.alpha() + snr * sources.sensorimotor(events)
    data += sources.blinks(blinks_per_minute)
    data += np.stack([sources.electrode_noise(name, line_freq) for name in sources.ch_names])
    return SyntheticRecording(
        data=data,
        sfreq=sources.sfreq,
        ch_names=sources.ch_names,
        events=events,
        subject=sources.subject,
    )
