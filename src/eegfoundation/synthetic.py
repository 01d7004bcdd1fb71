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
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from eegfoundation import montage
from eegfoundation.errors import ConfigError

if TYPE_CHECKING:
    import mne

Event = tuple[float, float, str]
FloatArray = NDArray[np.floating]

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

#: Sensorimotor patches, named by the electrode above: hands (C3, C4), feet (Cz), face (C5, C6).
PATCHES = ("C3", "C4", "Cz", "C5", "C6")

#: Relative change of each patch's amplitude while a movement is imagined, at full depth. Body sides
#: are crossed; areas that are not used gain a little ("focal ERD, surround ERS"). The tongue is on
#: both sides, low on the motor strip.
ERD: dict[str, tuple[float, ...]] = {
    "left_hand": (+0.15, -0.80, -0.10, 0.00, -0.15),
    "right_hand": (-0.80, +0.15, -0.10, -0.15, 0.00),
    "feet": (+0.20, +0.20, -0.80, +0.05, +0.05),
    "tongue": (+0.10, +0.10, +0.10, -0.80, -0.80),
}

#: The four imagined movements, in the order of their labels 0 to 3.
CLASSES = tuple(ERD)

# Seconds of one trial of data set 2a: the cue comes after 2 s, imagery lasts 4 s, then a pause.
FIXATION, IMAGERY, PAUSE = 2.0, 4.0, (1.5, 2.5)

# Metres, MNE head frame: the sphere that fits the 10-05 electrodes, the cortex in it, the eyes.
HEAD_CENTRE, CORTEX_RADIUS, DEPTH = np.array([0.0, 0.012, 0.042]), 0.074, 0.022
EYES = np.array([[-0.032, 0.100, -0.015], [0.032, 0.100, -0.015]])


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
    rng = _stream("order of trials", subject, seed)
    events, clock = [], 1.0
    for label in rng.permutation(np.repeat(np.arange(len(CLASSES)), n_trials_per_class)):
        events.append((round(clock + FIXATION, 2), IMAGERY, CLASSES[label]))
        clock += FIXATION + IMAGERY + rng.uniform(*PAUSE)
    session = _Session.create(ch_names, math.ceil(clock), sfreq, seed, subject)
    return session.record(events, snr=snr, alpha=1.0, blinks_per_minute=8.0, line_freq=line_freq)


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
    session = _Session.create(ch_names, duration, sfreq, seed, subject)
    alpha, blinks = (1.0, 15.0) if eyes == "open" else (3.0, 0.0)
    return session.record([], snr=1.0, alpha=alpha, blinks_per_minute=blinks, line_freq=line_freq)


@dataclass(frozen=True, kw_only=True)
class _Session:
    """One person under some electrodes for some time; each component is a method, in microvolts."""

    ch_names: list[str]
    electrodes: FloatArray  # (n_chans, 3) metres, NaN where unknown
    n_times: int
    sfreq: float
    seed: int
    subject: int

    @classmethod
    def create(
        cls, ch_names: Sequence[str], duration: float, sfreq: float, seed: int, subject: int
    ) -> _Session:
        n_times = duration * sfreq if duration > 0 and sfreq > 0 else 0
        if not 2 <= n_times < math.inf or len(ch_names) == 0:
            raise ConfigError(
                f"{len(ch_names)} channels and {duration} s at {sfreq} Hz were asked for: choose "
                "at least one channel and two samples"
            )
        return cls(
            ch_names=list(ch_names),
            electrodes=_places(*ch_names),
            n_times=round(n_times),
            sfreq=float(sfreq),
            seed=seed,
            subject=subject,
        )

    def record(
        self,
        events: list[Event],
        *,
        snr: float,
        alpha: float,
        blinks_per_minute: float,
        line_freq: float | None,
    ) -> SyntheticRecording:
        data = self.background() + alpha * self.alpha() + snr * self.sensorimotor(events)
        data += self.blinks(blinks_per_minute)
        data += np.stack([self.electrode_noise(name, line_freq) for name in self.ch_names])
        return SyntheticRecording(
            data=data,
            sfreq=self.sfreq,
            ch_names=self.ch_names,
            events=events,
            subject=self.subject,
        )

    def background(self) -> FloatArray:
        """1/f activity of 64 patches, evenly spread over the cortex (a Fibonacci sphere)."""
        person, rng = self.streams("background")
        slope, level = person.uniform(1.1, 1.6), person.uniform(9.0, 13.0)
        z, angle = np.linspace(1, -0.5, 64), np.arange(64) * np.pi * (3 - np.sqrt(5))
        ring = np.sqrt(1 - z**2)
        patches = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)
        patches = HEAD_CENTRE + CORTEX_RADIUS * patches
        gains = _leadfield(self.electrodes, patches, reach=0.1)
        gains /= np.linalg.norm(_leadfield(_places("Cz"), patches, reach=0.1))
        for i in np.flatnonzero(np.isnan(self.electrodes).any(axis=1)):
            # an electrode somewhere on the head: an arbitrary mixture, but always the same
            gains[i] = _stream(f"place of {self.ch_names[i]}").normal(0, 1 / np.sqrt(64), 64)
        return level * gains @ self.noise(rng, 64, lambda f: (1 + f**2) ** (-slope / 4))

    def alpha(self) -> FloatArray:
        """Posterior alpha of four sources that wax and wane, each in its own time."""
        person, rng = self.streams("alpha")
        hz, level = person.uniform(9.0, 11.0), person.uniform(4.0, 9.0)
        gains = _leadfield(self.electrodes, _cortex_below("O1", "Oz", "O2", "Pz"), reach=0.05)
        return level * (gains * [0.7, 0.9, 0.7, 0.4]) @ self.rhythm(rng, 4, hz, width=0.7)

    def sensorimotor(self, events: list[Event]) -> FloatArray:
        """Mu and beta of the motor patches, changed by imagery; beta rebounds after it."""
        person, rng = self.streams("sensorimotor")
        n = len(PATCHES)
        mu_hz, beta_hz = person.uniform(9.5, 12.5), person.uniform(18.0, 24.0)
        beta_share, depth = person.uniform(0.35, 0.55), person.uniform(0.7, 1.0)
        level = np.array([5.0, 5.0, 4.0, 4.0, 4.0]) * person.uniform(0.85, 1.15, n)
        patches = _cortex_below(*PATCHES) + person.normal(0, 0.004, (n, 3))  # no head is standard

        mu_gain, beta_gain = np.ones((2, n, self.n_times))
        for onset, duration, name in events:
            delay, attention = rng.uniform(0.2, 0.5), rng.uniform(0.75, 1.1)
            change = depth * attention * np.array(ERD[name])[:, None]
            span, t = self.span(onset, duration + 2.5)
            imagery = _step(t, delay, 0.6) - _step(t, duration + 0.1, 0.8)
            rebound = _step(t, duration + 0.4, 0.6) - _step(t, duration + 1.2, 1.0)
            mu_gain[:, span] += change * imagery
            beta_gain[:, span] += change * imagery - 0.5 * np.minimum(change, 0) * rebound
        mu = np.maximum(mu_gain, 0.05) * self.rhythm(rng, n, mu_hz, width=0.8)
        beta = np.maximum(beta_gain, 0.05) * self.rhythm(rng, n, beta_hz, width=1.8)
        gains = _leadfield(self.electrodes, patches, reach=0.04)
        return level * gains @ (mu + beta_share * beta)

    def blinks(self, per_minute: float) -> FloatArray:
        """Blinks of 70 to 240 uV at Fp1 that fade towards the back."""
        person, rng = self.streams("blinks")
        height, mean_pause = person.uniform(100.0, 200.0), 60.0 / max(per_minute, 1e-9)
        trace, clock = np.zeros(self.n_times), rng.exponential(mean_pause)
        while clock < self.n_times / self.sfreq:
            rise = rng.uniform(0.08, 0.12)
            span, t = self.span(clock, 0.6)
            shape = _step(t, 0.0, rise) - _step(t, rise, 2.2 * rise)
            trace[span] += height * rng.uniform(0.7, 1.2) * shape
            clock += 0.6 + rng.exponential(mean_pause)
        fading = np.exp(-_distances(self.electrodes, EYES) / 0.045).sum(axis=1, keepdims=True)
        fading /= np.exp(-_distances(_places("Fp1"), EYES) / 0.045).sum()
        return np.nan_to_num(fading) * trace

    def electrode_noise(self, name: str, line_freq: float | None) -> FloatArray:
        """What one electrode adds: slow drift, white noise and mains hum; shape (n_times,)."""
        _, rng = self.streams(f"electrode {name}")
        hum, phase = rng.lognormal(np.log(1.5), 0.4), rng.normal(0, 0.5)
        drift = self.noise(rng, 1, lambda f: np.exp(-((f / 0.08) ** 2)))[0]
        noise = 4.0 * drift + 0.6 * rng.standard_normal(self.n_times)
        if line_freq is not None and line_freq < self.sfreq / 2:
            noise += hum * np.sin(
                2 * np.pi * line_freq * np.arange(self.n_times) / self.sfreq + phase
            )
        return noise

    def streams(self, purpose: str) -> tuple[np.random.Generator, np.random.Generator]:
        """Random numbers for what belongs to the person, and to this session."""
        person = _stream(f"{purpose}, person", self.subject)
        return person, _stream(f"{purpose}, session", self.subject, self.seed)

    def span(self, onset: float, duration: float) -> tuple[slice, FloatArray]:
        """Samples of a piece of the recording, and their times in seconds from its onset."""
        first = round(onset * self.sfreq)
        last = min(first + round(duration * self.sfreq), self.n_times)
        return slice(first, last), np.arange(last - first) / self.sfreq

    def noise(
        self, rng: np.random.Generator, n: int, amplitude: Callable[[FloatArray], FloatArray]
    ) -> FloatArray:
        """Gaussian noise (n, n_times) of unit power and amplitude spectrum `amplitude(f)`.

        The power is that of the whole spectrum, whatever share of it rate and duration let through:
        a rhythm above half the rate vanishes, it does not come back in another band.
        """
        grid = np.arange(0.005, 125.0, 0.01)
        power = np.sum(amplitude(grid) ** 2) * 0.01
        freqs = np.arange(self.n_times // 2 + 1) * (self.sfreq / self.n_times)
        # a bin with E|X|^2 = 2 a^2 adds 4 a^2 / n_times^2 to the variance
        spectrum = amplitude(freqs) * np.sqrt(self.sfreq * self.n_times / power) / 2
        spectrum[0] = 0.0  # no offset
        real, imag = rng.standard_normal((2, n, len(freqs)))
        return np.fft.irfft((real + 1j * imag) * spectrum, n=self.n_times)

    def rhythm(self, rng: np.random.Generator, n: int, hz: float, width: float) -> FloatArray:
        """Rhythms (n, n_times) around `hz` in bursts, which fade and return every few seconds."""
        carrier = self.noise(rng, n, lambda f: np.exp(-0.25 * ((f - hz) / width) ** 2))
        waxing = self.noise(rng, n, lambda f: np.exp(-((f / 0.3) ** 2)))
        return carrier * np.exp(0.4 * waxing - 0.16)  # the mean square stays 1


def _stream(purpose: str, *numbers: int) -> np.random.Generator:
    """Random numbers for one purpose, independent of those for any other.

    The purpose must differ even where the numbers do: NumPy takes [5] and [5, 0] for the same seed.
    """
    if min(numbers, default=0) < 0:
        raise ConfigError(f"subject and seed {numbers} were asked for: choose numbers of 0 or more")
    return np.random.Generator(np.random.PCG64([zlib.crc32(purpose.encode()), *numbers]))


def _leadfield(electrodes: FloatArray, sources: FloatArray, reach: float) -> FloatArray:
    """Gains (n_chans, n_sources): about 1 above a source, fading over `reach` metres.

    The reference, both mastoids, sees the sources too. Electrodes of unknown place see nothing.
    """

    def potential(places: FloatArray) -> FloatArray:
        squared = _distances(places, sources) ** 2
        return ((reach**2 + DEPTH**2) / (reach**2 + squared)) ** 1.5

    reference = potential(_places("TP9", "TP10")).mean(axis=0)
    return np.nan_to_num(potential(electrodes) - reference)


def _places(*names: str) -> FloatArray:
    """Electrode positions (n_names, 3) in metres, NaN where unknown."""
    return montage.positions(names).astype(np.float64)


def _cortex_below(*names: str) -> FloatArray:
    """Places (n_names, 3) on the cortex below electrodes."""
    rays = _places(*names) - HEAD_CENTRE
    return HEAD_CENTRE + CORTEX_RADIUS * rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Distances (n_a, n_b) in metres."""
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))


def _step(t: FloatArray, start: float, rise: float) -> FloatArray:
    """Rise smoothly from 0 at `start` to 1 at `start + rise`."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip((t - start) / rise, 0, 1))
