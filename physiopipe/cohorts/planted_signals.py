"""EEG and ECG whose band powers, heart rate and wave amplitudes are as told: what simulated cohorts plant effects with.

A level is in units of a quantity's SD over clips. The numbers here were fixed once and are not tuned. What `HIDDEN`
levels do, a band's power, the mean heart rate and a wave's amplitude do not show (`Hidden`).
"""

from dataclasses import dataclass
from math import pi, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import scipy.fft

from physiopipe.cohorts.heartbeats import F32, F64, NORMAL_BEAT, beats_of_rate, gaussians

QUANTITIES = ("alpha", "t_wave", "beta", "heart_rate", "theta", "qrs")
HIDDEN = ("asymmetry", "coupling", "change")
LEVELS = (*QUANTITIES, *HIDDEN)
# Change for one SD over clips: ln power of the bands; beats a minute; relative T amplitude; ln QRS amplitude.
_STEP = {"theta": 0.5, "alpha": 0.3, "beta": 0.4, "heart_rate": 5.0, "t_wave": 0.15, "qrs": 0.15}
# Band: centre (Hz), width (Hz), peak over the 1/f background in power, and weights of frontal to occipital channels.
_BANDS = {
    "theta": (6.0, 1.0, 4.0, (1.2, 0.7)),
    "alpha": (10.0, 1.1, 10.0, (0.8, 1.4)),
    "beta": (20.0, 3.5, 6.0, (1.1, 0.9)),
}
_LOWEST_HZ = 0.5
_JITTER, _JITTER_S = 0.5, 10.0  # within a clip a band's z wanders by this SD, this slowly
_BREATHS_HZ = 0.25
_LED_SHARE, _LED_RAD = 0.5, 0.5  # share of alpha that both sides have in common; its phase at the side for one SD
_LOCKED_DEPTH = 0.5  # of alpha's amplitude, with the breath
_CHANGE = 1.0  # ln power of theta from first to second half, for one SD


@dataclass(frozen=True)
class Hidden:
    """What is planted where powers and rates over the clip stay as they are.

    - asymmetry: one part of alpha reaches the right side of the head before the left one, or after it;
    - coupling: alpha rises and falls with each breath, which the ECG shows too; the level says at which of its phases
      (high: breathing in; low: breathing out), so that neither signal alone tells it;
    - change: theta's power in the second half of the clip over that in the first.

    Attributes:
        level: of HIDDEN.
        from_s, until_s: of the signal, between which `change` takes place.
        rng: draws what this adds.
        breath_rad: phase of the breath at the signal's start.
    """

    level: dict[str, float]
    from_s: float
    until_s: float
    rng: np.random.Generator
    breath_rad: float

    @classmethod
    def draw(cls, rng: np.random.Generator, level: dict[str, float], from_s: float, until_s: float) -> "Hidden":
        """With a breath of any phase."""
        return cls(level, max(from_s, 0.0), until_s, rng, rng.uniform(0, 2 * pi))

    def amplitude(self, band: str, seconds: F64) -> F64:
        """What a band's amplitude is multiplied with, (time,): mean ln power (theta), mean power (alpha) as before."""
        if band == "theta":
            middle = (self.from_s + self.until_s) / 2
            half = np.where(seconds < middle, -0.5, 0.5) * ((seconds >= self.from_s) & (seconds < self.until_s))
            return np.asarray(np.exp(0.5 * _CHANGE * self.level["change"] * half))
        if band == "alpha":
            late_rad = pi * NormalDist().cdf(-self.level["coupling"])
            breath = np.sin(2 * pi * _BREATHS_HZ * seconds + self.breath_rad + late_rad)
            return np.asarray((1 + _LOCKED_DEPTH * breath) / sqrt(1 + _LOCKED_DEPTH**2 / 2))
        return np.ones(len(seconds))

    def led(self, power: F64, n: int, right: F64) -> F32:
        """Noise (channel, n) that all channels share, each at a phase of its own; variance as of `_noise`.

        Args:
            right: (channel,) how far to the right each one lies, head radius 1.
        """
        spectrum = _spectrum(self.rng, 1, power)
        angle = (_LED_RAD * self.level["asymmetry"] * right)[:, None]
        turned = [_in_time(spectrum * factor, n) for factor in (1, 1j)]
        return np.asarray(turned[0] * np.cos(angle) + turned[1] * np.sin(angle), dtype=np.float32)


@dataclass(frozen=True)
class Head:
    """What is a person's own in the EEG of n channels.

    Attributes:
        position: (n, 2) of the electrodes, right and front, head radius 1.
        slope: of the background, 1 / f^slope in power.
        gain: of all channels.
        topography: (n,) of each band.
        offset: (n,) of the channels, in the EEG's unit.
    """

    position: F64
    slope: float
    gain: float
    topography: dict[str, F64]
    offset: F64

    @classmethod
    def draw(cls, rng: np.random.Generator, position: F64, offset: tuple[float, float] = (0.0, 0.0)) -> "Head":
        """A head; `offset` is the mean and the SD of the channels' offsets."""
        front = (position[:, 1] + 1) / 2
        topography = {
            band: (ends[0] * front + ends[1] * (1 - front)) * np.exp(rng.normal(0, 0.15, len(front)))
            for band, (_, _, _, ends) in _BANDS.items()
        }
        offsets = offset[0] + rng.normal(0, offset[1], len(front))
        return cls(position, rng.normal(1.0, 0.1), float(np.exp(rng.normal(0, 0.1))), topography, offsets)


def eeg_of_levels(
    rng: np.random.Generator,
    head: Head,
    level: dict[str, float],
    n_samples: int,
    rate_hz: int,
    rms: float,
    highest_hz: float | None = None,
    hidden: Hidden | None = None,
) -> F64:
    """EEG (channel, n_samples) on the head's offsets: 1/f background and three bands, mixed in space.

    Args:
        level: of theta, alpha and beta power.
        rate_hz: samples a second.
        rms: of a channel of a head of gain 1, in the unit wanted.
        highest_hz: nothing is above it; None: half the rate.
        hidden: what is planted besides; None: nothing.
    """
    n_fast = scipy.fft.next_fast_len(n_samples, real=True)
    frequency = np.fft.rfftfreq(n_fast, 1 / rate_hz)
    inside = (frequency >= _LOWEST_HZ) & (frequency <= (highest_hz or rate_hz))
    background = np.where(inside, np.maximum(frequency, _LOWEST_HZ) ** -head.slope, 0.0)
    bumps = {
        band: peak * centre**-head.slope * np.exp(-0.5 * ((frequency - centre) / width) ** 2)
        for band, (centre, width, peak, _) in _BANDS.items()
    }
    scale = head.gain * rms / sqrt(background.sum() + sum(float(bump.sum()) for bump in bumps.values()))
    distance = np.linalg.norm(head.position[:, None] - head.position[None], axis=-1)
    spread = np.exp(-0.5 * (distance / 0.35) ** 2)  # volume conduction: near electrodes see the same sources
    spread = (spread / np.linalg.norm(spread, axis=1, keepdims=True)).astype(np.float32)
    seconds = np.arange(n_samples) / rate_hz
    nodes_s = np.arange(0, seconds[-1] + 2 * _JITTER_S, _JITTER_S)
    channels = len(head.position)
    signal = _noise(rng, channels, background, n_fast)[:, :n_samples]
    for band, bump in bumps.items():
        z = level[band] + _JITTER * np.interp(seconds, nodes_s, rng.standard_normal(len(nodes_s)))
        amplitude = np.sqrt(np.exp(_STEP[band] * z))
        wave = _noise(rng, channels, bump, n_fast)[:, :n_samples]
        if hidden is not None:
            amplitude = amplitude * hidden.amplitude(band, seconds)
        if hidden is not None and band == "alpha":
            # Given to each channel at the size that its mixture of sources has, so that no phase changes a power
            size = np.sqrt(np.square(spread) @ np.square(head.topography[band]))[:, None] * amplitude
            led = hidden.led(bump, n_fast, head.position[:, 0])[:, :n_samples] * size
            amplitude = amplitude * sqrt(1 - _LED_SHARE)
        wave = wave * amplitude.astype(np.float32)
        signal += wave * head.topography[band][:, None].astype(np.float32)
    if hidden is not None:
        return np.asarray(scale * (spread @ signal + sqrt(_LED_SHARE) * led) + head.offset[:, None], dtype=np.float64)
    return np.asarray(scale * (spread @ signal) + head.offset[:, None], dtype=np.float64)


def _noise(rng: np.random.Generator, channels: int, power: F64, n: int) -> F32:
    """Gaussian noise (channel, n) with the sum of `power` (over rfft's frequencies) as its variance."""
    return _in_time(_spectrum(rng, channels, power), n)


def _spectrum(rng: np.random.Generator, channels: int, power: F64) -> npt.NDArray[np.complex64]:
    used = np.flatnonzero(power > 1e-6 * power.max())
    spectrum = np.zeros((channels, len(power)), np.complex64)
    parts = rng.standard_normal((channels, len(used), 2), np.float32) * np.sqrt(power[used] / 2)[:, None]
    spectrum[:, used] = parts[..., 0] + 1j * parts[..., 1]
    return spectrum


def _in_time(spectrum: npt.NDArray[np.complex64], n: int) -> F32:
    return np.asarray(scipy.fft.irfft(spectrum, n, axis=1, norm="forward"), dtype=np.float32) / np.float32(sqrt(2))


def ecg_of_levels(
    rng: np.random.Generator,
    level: dict[str, float],
    n_samples: int,
    rate_hz: int,
    leads: F64,
    breath_rad: float | None = None,
) -> F64:
    """ECG (lead, n_samples) in mV.

    Args:
        level: of heart rate, QRS and T amplitude.
        rate_hz: samples a second.
        leads: (lead, 3), what each lead sees of the heart vector (Frank's x, y, z), as rows of `heartbeats.DOWER`.
        breath_rad: phase of the breath at the start; None: any.
    """
    t = np.arange(-rate_hz, n_samples + rate_hz) / rate_hz  # a second more at both ends
    swing = 0.03 * np.sin(2 * np.pi * 0.1 * t + rng.uniform(0, 6.28))
    any_rad = rng.uniform(0, 6.28)
    breath = np.sin(2 * np.pi * _BREATHS_HZ * t + (any_rad if breath_rad is None else breath_rad))
    rate_bpm = (72 + _STEP["heart_rate"] * level["heart_rate"]) * (1 + swing + 0.03 * breath)
    beats = beats_of_rate(rate_bpm, rate_hz) + t[0] + rng.uniform(0, 0.5)
    rr_s = 60 / np.interp(beats, t, rate_bpm)
    size = {"Q": np.exp(_STEP["qrs"] * level["qrs"]), "T": 1 + _STEP["t_wave"] * level["t_wave"]}
    size |= {"R": size["Q"], "S": size["Q"], "P": 1.0}
    breathing = 1 + 0.05 * np.interp(beats, t, breath)
    mv = np.zeros((len(leads), n_samples))
    for name, wave in NORMAL_BEAT.items():
        offset_s = wave.offset_s * np.sqrt(rr_s) if name[0] == "T" else wave.offset_s
        shape = gaussians(n_samples, rate_hz, beats + offset_s, wave.width_s, size[name[0]] * breathing)
        mv += np.outer(leads @ np.asarray(wave.vector_mv), shape)
    mv += rng.normal(0, 0.01, mv.shape)
    inside = t[rate_hz:-rate_hz]
    wander_mv = rng.normal(0, 0.1, (len(leads), 1))
    mv += wander_mv * np.sin(2 * np.pi * rng.uniform(0.1, 0.3) * inside + rng.uniform(0, 6.28))
    return mv
