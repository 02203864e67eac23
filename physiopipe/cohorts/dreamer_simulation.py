"""A simulated stand-in for DREAMER.mat whose effects are planted, so that an oracle's AUC is known.

Ratings share a part of each subject and each clip, and are cut so that 1..5 are as frequent as in the real file. Each
label moves one EEG and one ECG quantity: valence lowers alpha power and T amplitude, arousal raises beta power and
heart rate, dominance raises theta power and lowers QRS amplitude; and one that these do not show
(`planted_signals.Hidden`): valence the asymmetry, arousal the coupling of EEG and breath, dominance the change within
the clip. How much each moves is in `planted_levels`. The numbers here were fixed once and are not tuned.
"""

import tempfile
import zlib
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import scipy.io

from physiopipe.cohorts.dreamer import ECG_RATE_HZ, EEG_CHANNELS, EEG_RATE_HZ, RATINGS, SimulateDreamer
from physiopipe.cohorts.dreamer_file import SIMULATED_MARK
from physiopipe.cohorts.heartbeats import DOWER, F64
from physiopipe.cohorts.planted_levels import Latents, draw_levels, shifts, task_effects, task_levels
from physiopipe.cohorts.planted_signals import LEVELS, Head, Hidden, ecg_of_levels, eeg_of_levels
from physiopipe.files import atomic_file

# How often 1..5 were given in the real file, of its 23 × 18 clips.
REAL_COUNTS = {
    "valence": (77, 84, 90, 108, 55),
    "arousal": (21, 93, 119, 132, 49),
    "dominance": (14, 81, 120, 134, 65),
}
HIGH_FROM = 3
LABEL_CORRELATION = np.array([[1.0, 0.2, 0.3], [0.2, 1.0, 0.1], [0.3, 0.1, 1.0]])
# The label (index into RATINGS) that moves each level, and which way.
MOVED_BY: dict[str, tuple[int, float]] = {
    "alpha": (0, -1.0), "t_wave": (0, -1.0), "beta": (1, 1.0), "heart_rate": (1, 1.0), "theta": (2, 1.0),
    "qrs": (2, -1.0), "asymmetry": (0, 1.0), "coupling": (1, 1.0), "change": (2, 1.0),
}  # fmt: skip
_EEG_RMS_UV, _EEG_STEP = 20.0, 1 / 1.95  # the headset's ADC counts in 0.51 µV
_EEG_OFFSET, _EEG_OFFSET_SD = 4200.0, 60.0  # of the channels
_ECG_OFFSET, _ECG_COUNTS_PER_MV = 2000.0, 400.0
_HEADER_BYTES = 128
# Head position (right, front) of EEG_CHANNELS, head radius 1.
_POSITION = np.array(
    [(-0.33, 0.78), (-0.75, 0.55), (-0.4, 0.5), (-0.65, 0.27), (-0.95, 0.0), (-0.75, -0.55), (-0.3, -0.95)]
)
_POSITION = np.vstack([_POSITION, _POSITION[::-1] * [-1, 1]])
_LEADS = np.array([DOWER[1], DOWER[1] - DOWER[0]])  # II, and III = II − I


@dataclass(frozen=True)
class Plan:
    """What is simulated before any signal: ratings (subject, clip, RATINGS) 1..5; z (subject, clip, LEVELS) and
    its part of the subject alone, (subject, LEVELS); length of each clip in EEG samples.
    """

    ratings: npt.NDArray[np.int64]
    z: F64
    subject_z: F64
    clip_samples: npt.NDArray[np.int64]


def latents(params: SimulateDreamer) -> Latents:
    """What is drawn of each clip. Effects are planted at a rating of HIGH_FROM, whatever threshold tables use."""
    plan = plan_cohort(params)
    subjects, clips, labels = plan.ratings.shape
    level = task_levels(MOVED_BY, plan.z, plan.subject_z, labels, params.hidden_share)
    return Latents(
        tasks=RATINGS,
        subject=tuple(f"s{number + 1:02d}" for number in range(subjects) for _ in range(clips)),
        clip=tuple(range(1, clips + 1)) * subjects,
        value=plan.ratings.reshape(-1, labels).astype(np.float64),
        moved=plan.ratings.reshape(-1, labels) >= HIGH_FROM,
        level=level.reshape(-1, labels),
        effect=task_effects(MOVED_BY, labels, params.effect_d),
        hidden_share=params.hidden_share,
    )


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
    shift = shifts(MOVED_BY, high - high.mean(axis=(0, 1)), params.effect_d, params.hidden_share)
    z, subject_z = draw_levels(rng, params.seed, shift, params.subject_rho, params.hidden_share)
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
    head = Head.draw(own, _POSITION, (_EEG_OFFSET, _EEG_OFFSET_SD))
    names = ("baseline", "stimuli")
    eeg, ecg = ({name: np.empty((params.clips, 1), object) for name in names} for _ in range(2))
    for clip in range(params.clips):
        rng, unseen = (np.random.default_rng([params.seed, stream, number, clip]) for stream in (2, 4))
        lengths = (round(params.baseline_s * EEG_RATE_HZ), int(plan.clip_samples[clip]))
        for name, samples, z in zip(names, lengths, (plan.subject_z[number], plan.z[number, clip]), strict=True):
            level, hidden = dict(zip(LEVELS, z.tolist(), strict=True)), None
            if params.hidden_share > 0:
                length_s = samples / EEG_RATE_HZ
                hidden = Hidden.draw(unseen, level, length_s - params.change_s, length_s)
            uv = eeg_of_levels(rng, head, level, samples, EEG_RATE_HZ, _EEG_RMS_UV, hidden=hidden)
            eeg[name][clip, 0] = np.rint(uv / _EEG_STEP).T * _EEG_STEP
            breath_rad = hidden.breath_rad if hidden else None
            ecg[name][clip, 0] = simulate_ecg(rng, level, samples * ECG_RATE_HZ // EEG_RATE_HZ, breath_rad).T
    scores = {
        f"Score{label.capitalize()}": plan.ratings[number, :, [i]].T.astype(np.float64)
        for i, label in enumerate(RATINGS)
    }
    age, gender = str(int(own.integers(22, 34))), ("male", "female")[int(own.integers(2))]
    return {"Age": age, "Gender": gender, "EEG": eeg, "ECG": ecg, **scores}


def simulate_ecg(
    rng: np.random.Generator, level: dict[str, float], n_samples: int, breath_rad: float | None = None
) -> F64:
    """ECG leads II and III (2, n_samples) at 256 Hz in counts around 2000."""
    mv = ecg_of_levels(rng, level, n_samples, ECG_RATE_HZ, _LEADS, breath_rad)
    return np.rint(_ECG_OFFSET + _ECG_COUNTS_PER_MV * mv)
