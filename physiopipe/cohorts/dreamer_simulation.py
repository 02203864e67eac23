"""A simulated stand-in for DREAMER.mat whose effects are planted, so that the best attainable AUC is known.

Ratings share a part of each subject and each clip, and are cut so that 1..5 are as frequent as in the real file. Each
label moves one EEG and one ECG quantity: valence lowers alpha power and T amplitude, arousal raises beta power and
heart rate, dominance raises theta power and lowers QRS amplitude. A quantity's level, in units of its SD over clips:
z = d · sign · (high − share of high) + rho · (subject) + (clip). The numbers here were fixed once and are not tuned.
"""

import tempfile
import zlib
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.io

from physiopipe.cohorts.dreamer import ECG_RATE_HZ, EEG_CHANNELS, EEG_RATE_HZ, RATINGS, SimulateDreamer
from physiopipe.cohorts.dreamer_file import SIMULATED_MARK
from physiopipe.cohorts.heartbeats import DOWER, F32, F64, NORMAL_BEAT, beats_of_rate, gaussians
from physiopipe.files import atomic_file

# How often 1..5 were given in the real file, of 414 clips.
REAL_COUNTS = {
    "valence": (77, 84, 90, 108, 55),
    "arousal": (21, 93, 119, 132, 49),
    "dominance": (14, 81, 120, 134, 65),
}
HIGH_FROM = 3
LABEL_CORRELATION = np.array([[1.0, 0.2, 0.3], [0.2, 1.0, 0.1], [0.3, 0.1, 1.0]])
# The six quantities: the label (index into RATINGS) that moves each, and which way.
QUANTITIES = ("alpha", "t_wave", "beta", "heart_rate", "theta", "qrs")
_LABEL_OF = np.array([0, 0, 1, 1, 2, 2])
_SIGN = np.array([-1.0, -1.0, 1.0, 1.0, 1.0, -1.0])
# Change for one SD over clips: ln power of the bands; beats a minute; relative T amplitude; ln QRS amplitude.
_STEP = {"theta": 0.5, "alpha": 0.3, "beta": 0.4, "heart_rate": 5.0, "t_wave": 0.15, "qrs": 0.15}
# Band: centre (Hz), width (Hz), peak over the 1/f background in power, and weights of frontal to occipital channels.
_BANDS = {
    "theta": (6.0, 1.0, 4.0, (1.2, 0.7)),
    "alpha": (10.0, 1.1, 10.0, (0.8, 1.4)),
    "beta": (20.0, 3.5, 6.0, (1.1, 0.9)),
}
_EEG_RMS_UV, _EEG_OFFSET, _EEG_STEP = 20.0, 4200.0, 1 / 1.95  # the headset's ADC counts in 0.51 µV
_ECG_OFFSET, _ECG_COUNTS_PER_MV = 2000.0, 400.0
_HEADER_BYTES = 128
_JITTER, _JITTER_S = 0.5, 10.0  # within a clip a band's z wanders by this SD, this slowly
# Head position (right, front) of EEG_CHANNELS, head radius 1.
_POSITION = np.array(
    [(-0.33, 0.78), (-0.75, 0.55), (-0.4, 0.5), (-0.65, 0.27), (-0.95, 0.0), (-0.75, -0.55), (-0.3, -0.95)]
)
_POSITION = np.vstack([_POSITION, _POSITION[::-1] * [-1, 1]])


@dataclass(frozen=True)
class Plan:
    """What is simulated before any signal: ratings (subject, clip, RATINGS) 1..5; z (subject, clip, QUANTITIES) and
    its part of the subject alone, (subject, QUANTITIES); length of each clip in EEG samples.
    """

    ratings: npt.NDArray[np.int64]
    z: F64
    subject_z: F64
    clip_samples: npt.NDArray[np.int64]


def attainable_auc(params: SimulateDreamer) -> dict[str, tuple[float, float]]:
    """Best AUC of each label from its two quantities: as they are, and with each subject's own level known.

    Φ(d / √(1 + rho²)) and Φ(d). A mean over subjects of each one's own AUC can reach the second.
    """
    phi = NormalDist().cdf
    raw, known = phi(params.effect_d / sqrt(1 + params.subject_rho**2)), phi(params.effect_d)
    return dict.fromkeys(RATINGS, (raw, known))


def plan_cohort(params: SimulateDreamer) -> Plan:
    """Draw ratings and levels of the whole cohort from `params.seed`."""
    rng = np.random.default_rng([params.seed, 0])
    subjects, clips, labels = params.subjects, params.clips, len(RATINGS)
    mix = np.linalg.cholesky(LABEL_CORRELATION).T
    score = sqrt(0.1) * rng.standard_normal((subjects, 1, labels)) @ mix
    score = score + sqrt(0.4) * rng.standard_normal((1, clips, labels)) @ mix
    score = score + sqrt(0.5) * rng.standard_normal((subjects, clips, labels)) @ mix
    ratings = np.stack([_cut(score[..., i], REAL_COUNTS[label]) for i, label in enumerate(RATINGS)], axis=-1)
    high = (ratings >= HIGH_FROM).astype(np.float64)
    centred = (high - high.mean(axis=(0, 1)))[..., _LABEL_OF]
    subject_z = params.subject_rho * rng.standard_normal((subjects, len(QUANTITIES)))
    clip_z = rng.standard_normal((subjects, clips, len(QUANTITIES)))
    z = params.effect_d * _SIGN * centred + subject_z[:, None] + clip_z
    lengths = np.rint(rng.uniform(params.min_clip_s, params.max_clip_s, clips) * EEG_RATE_HZ).astype(np.int64)
    return Plan(ratings, z, subject_z, lengths)


def _cut(score: F64, counts: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Ratings 1..5 by rank, as frequent as `counts` says, for any number of scores."""
    share = np.cumsum(counts)[:-1] / sum(counts)
    rank = np.argsort(np.argsort(score, axis=None)).reshape(score.shape)
    return 1 + np.searchsorted(np.rint(share * score.size), rank, side="right")


def simulate_dreamer(path: Path, params: SimulateDreamer) -> None:
    """Write `path` with the nesting of the real DREAMER.mat; its text and its Provider say that it is simulated.

    EEG (time, 14) at 128 Hz around 4200, ECG (time, 2) at 256 Hz, in float64 as in the real file. The same seed gives
    the same bytes.
    """
    plan = plan_cohort(params)
    data = np.empty((1, params.subjects), object)
    for number in range(params.subjects):
        data[0, number] = _subject(number, plan, params)
    content: dict[str, Any] = {
        "Data": data,
        "EEG_SamplingRate": float(EEG_RATE_HZ),
        "ECG_SamplingRate": float(ECG_RATE_HZ),
        "EEG_Electrodes": np.array([EEG_CHANNELS], object),
        "noOfSubjects": float(params.subjects),
        "noOfVideoSequences": float(params.clips),
        "Disclaimer": "Simulated signals: nobody was recorded.",
        "Provider": SIMULATED_MARK,
        "Version": "simulated",
        "Acknowledgement": "After Katsigiannis & Ramzan 2018, doi:10.1109/JBHI.2017.2688239.",
    }
    with atomic_file(path) as temporary, tempfile.TemporaryFile(dir=path.parent) as plain:
        scipy.io.savemat(plain, {"DREAMER": content})  # type: ignore[arg-type]  # an open file is allowed
        plain.seek(_HEADER_BYTES)
        with temporary.open("wb") as handle:
            _compress(plain, handle)


def _compress(plain: IO[bytes], handle: IO[bytes]) -> None:
    """Write the one variable of a MATLAB file, from where `plain` stands, compressed as `savemat` can too.

    Quickly: savemat's own compression takes 7 times as long for files a tenth smaller. The descriptive text holds no
    time, which savemat's does.
    """
    text = f"MATLAB 5.0 MAT-file, {SIMULATED_MARK}".encode().ljust(116) + bytes(8)
    handle.write(text + np.array([0x0100], "<u2").tobytes() + b"IM" + bytes(8))
    deflate = zlib.compressobj(2)
    while chunk := plain.read(1 << 20):
        handle.write(deflate.compress(chunk))
    handle.write(deflate.flush())
    size = handle.tell() - _HEADER_BYTES - 8
    handle.seek(_HEADER_BYTES)
    handle.write(np.array([15, size], "<u4").tobytes())  # 15: compressed


def _subject(number: int, plan: Plan, params: SimulateDreamer) -> dict[str, Any]:
    """The struct of one subject."""
    own = np.random.default_rng([params.seed, 1, number])
    head = _Head.draw(own)
    names = ("baseline", "stimuli")
    eeg, ecg = ({name: np.empty((params.clips, 1), object) for name in names} for _ in range(2))
    for clip in range(params.clips):
        rng = np.random.default_rng([params.seed, 2, number, clip])
        lengths = (round(params.baseline_s * EEG_RATE_HZ), int(plan.clip_samples[clip]))
        for name, samples, z in zip(names, lengths, (plan.subject_z[number], plan.z[number, clip]), strict=True):
            level = dict(zip(QUANTITIES, z.tolist(), strict=True))
            eeg[name][clip, 0] = simulate_eeg(rng, head, level, samples).T.astype(np.float64)
            ecg[name][clip, 0] = simulate_ecg(rng, level, samples * ECG_RATE_HZ // EEG_RATE_HZ).T.astype(np.float64)
    scores = {
        f"Score{label.capitalize()}": plan.ratings[number, :, [i]].T.astype(np.float64)
        for i, label in enumerate(RATINGS)
    }
    age, gender = str(int(own.integers(22, 34))), ("male", "female")[int(own.integers(2))]
    return {"Age": age, "Gender": gender, "EEG": eeg, "ECG": ecg, **scores}


@dataclass(frozen=True)
class _Head:
    """What is a subject's own in the EEG: slope of 1/f, gain, topography of each band (14,), offsets (14,)."""

    slope: float
    gain: float
    topography: dict[str, F64]
    offset: F64

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Head":
        front = (_POSITION[:, 1] + 1) / 2
        topography = {
            band: (ends[0] * front + ends[1] * (1 - front)) * np.exp(rng.normal(0, 0.15, len(front)))
            for band, (_, _, _, ends) in _BANDS.items()
        }
        offset = _EEG_OFFSET + rng.normal(0, 60, len(front))
        return cls(rng.normal(1.0, 0.1), float(np.exp(rng.normal(0, 0.1))), topography, offset)


def simulate_eeg(rng: np.random.Generator, head: _Head, level: dict[str, float], n_samples: int) -> F64:
    """EEG (14, n_samples) at 128 Hz in µV on the headset's offset: 1/f background and three bands, mixed in space."""
    n_fast = scipy.fft.next_fast_len(n_samples, real=True)
    frequency = np.fft.rfftfreq(n_fast, 1 / EEG_RATE_HZ)
    background = np.where(frequency >= 0.5, np.maximum(frequency, 0.5) ** -head.slope, 0.0)
    bumps = {
        band: peak * centre**-head.slope * np.exp(-0.5 * ((frequency - centre) / width) ** 2)
        for band, (centre, width, peak, _) in _BANDS.items()
    }
    scale = head.gain * _EEG_RMS_UV / sqrt(background.sum() + sum(float(bump.sum()) for bump in bumps.values()))
    distance = np.linalg.norm(_POSITION[:, None] - _POSITION[None], axis=-1)
    spread = np.exp(-0.5 * (distance / 0.35) ** 2)  # volume conduction: near electrodes see the same sources
    spread = (spread / np.linalg.norm(spread, axis=1, keepdims=True)).astype(np.float32)
    seconds = np.arange(n_samples) / EEG_RATE_HZ
    nodes_s = np.arange(0, seconds[-1] + 2 * _JITTER_S, _JITTER_S)
    signal = _noise(rng, background, n_fast)[:, :n_samples]
    for band, bump in bumps.items():
        z = level[band] + _JITTER * np.interp(seconds, nodes_s, rng.standard_normal(len(nodes_s)))
        power = np.exp(_STEP[band] * z)
        wave = _noise(rng, bump, n_fast)[:, :n_samples] * np.sqrt(power).astype(np.float32)
        signal += wave * head.topography[band][:, None].astype(np.float32)
    uv = scale * (spread @ signal) + head.offset[:, None]
    return np.asarray(np.rint(uv / _EEG_STEP) * _EEG_STEP, dtype=np.float64)


def _noise(rng: np.random.Generator, power: F64, n: int) -> F32:
    """Gaussian noise (14, n) with the sum of `power` (over rfft's frequencies) as its variance."""
    used = np.flatnonzero(power > 1e-6 * power.max())
    spectrum = np.zeros((len(EEG_CHANNELS), len(power)), np.complex64)
    parts = rng.standard_normal((len(EEG_CHANNELS), len(used), 2), np.float32) * np.sqrt(power[used] / 2)[:, None]
    spectrum[:, used] = parts[..., 0] + 1j * parts[..., 1]
    return np.asarray(scipy.fft.irfft(spectrum, n, axis=1, norm="forward"), dtype=np.float32) / np.float32(sqrt(2))


def simulate_ecg(rng: np.random.Generator, level: dict[str, float], n_samples: int) -> F64:
    """ECG leads II and III (2, n_samples) at 256 Hz in counts around 2000."""
    t = np.arange(-ECG_RATE_HZ, n_samples + ECG_RATE_HZ) / ECG_RATE_HZ  # a second more at both ends
    swing = 0.03 * np.sin(2 * np.pi * 0.1 * t + rng.uniform(0, 6.28))
    breath = np.sin(2 * np.pi * 0.25 * t + rng.uniform(0, 6.28))
    rate_bpm = (72 + _STEP["heart_rate"] * level["heart_rate"]) * (1 + swing + 0.03 * breath)
    beats = beats_of_rate(rate_bpm, ECG_RATE_HZ) + t[0] + rng.uniform(0, 0.5)
    rr_s = 60 / np.interp(beats, t, rate_bpm)
    size = {"Q": np.exp(_STEP["qrs"] * level["qrs"]), "T": 1 + _STEP["t_wave"] * level["t_wave"]}
    size |= {"R": size["Q"], "S": size["Q"], "P": 1.0}
    breathing = 1 + 0.05 * np.interp(beats, t, breath)
    leads = np.array([DOWER[1], DOWER[1] - DOWER[0]])  # II, and III = II − I
    mv = np.zeros((2, n_samples))
    for name, wave in NORMAL_BEAT.items():
        offset_s = wave.offset_s * np.sqrt(rr_s) if name[0] == "T" else wave.offset_s
        shape = gaussians(n_samples, ECG_RATE_HZ, beats + offset_s, wave.width_s, size[name[0]] * breathing)
        mv += np.outer(leads @ np.asarray(wave.vector_mv), shape)
    mv += rng.normal(0, 0.01, mv.shape)
    inside = t[ECG_RATE_HZ:-ECG_RATE_HZ]
    mv += rng.normal(0, 0.1, (2, 1)) * np.sin(2 * np.pi * rng.uniform(0.1, 0.3) * inside + rng.uniform(0, 6.28))
    return np.asarray(np.rint(_ECG_OFFSET + _ECG_COUNTS_PER_MV * mv), dtype=np.float64)
