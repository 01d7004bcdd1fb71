"""Where the signals of simulated EEG come from; `synthetic` adds them up to recordings.

Every component (background, alpha, mu and beta, blinks, what an electrode adds) is a method of
`Sources` that gives microvolts. Sources lie in a ball and fade with distance; random numbers belong
to a purpose and a person or session, so no component changes because another one was computed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eegfoundation import montage
from eegfoundation.errors import ConfigError

#: Onset and duration in seconds, and class.
Event = tuple[float, float, str]
FloatArray = NDArray[np.floating]

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

# Metres, MNE head frame: the sphere that fits the 10-05 electrodes, the cortex in it, the eyes.
HEAD_CENTRE, CORTEX_RADIUS, DEPTH = np.array([0.0, 0.012, 0.042]), 0.074, 0.022
EYES = np.array([[-0.032, 0.100, -0.015], [0.032, 0.100, -0.015]])


@dataclass(frozen=True, kw_only=True)
class Sources:
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
    ) -> Sources:
        """Place the electrodes; refuse what is no recording."""
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
            gains[i] = random_stream(f"place of {self.ch_names[i]}").normal(0, 1 / np.sqrt(64), 64)
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
        person = random_stream(f"{purpose}, person", self.subject)
        return person, random_stream(f"{purpose}, session", self.subject, self.seed)

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


def random_stream(purpose: str, *numbers: int) -> np.random.Generator:
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
