"""A simulated stand-in for EEGMAT whose effects are planted, so that an oracle's AUC is known.

The task moves one EEG and one ECG quantity: arithmetic lowers alpha power and raises the heart rate; and what these do
not show (`planted_signals.Hidden`). The others vary from person to person and from recording to recording alone.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physiopipe.cohorts.eegmat import (
    EEG_CHANNELS,
    RATE_HZ,
    TASK,
    SimulateEegmat,
)
from physiopipe.cohorts.eegmat_tree import FILE_NAME, LABELS, SIMULATED_MARK
from physiopipe.cohorts.heartbeats import DOWER, F64
from physiopipe.cohorts.planted_levels import Latents, draw_levels, shifts, task_effects, task_levels
from physiopipe.cohorts.planted_signals import LEVELS, Head, Hidden, ecg_of_levels, eeg_of_levels
from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_folder
from physiopipe.recordings.edf_writing import EdfChannel, edf_bytes

# The one task moves these levels, this way.
MOVED_BY: dict[str, tuple[int, float]] = {
    "alpha": (0, -1.0), "heart_rate": (0, 1.0), "asymmetry": (0, 1.0), "coupling": (0, 1.0), "change": (0, 1.0),
}  # fmt: skip
_EEG_RMS_UV, _HIGHEST_HZ = 10.0, 45.0
_EARS_SHARE = 0.3  # size of A2-A1 against the scalp's EEG
_PADDING_S, _HELD_S = 2.0, (0.5, 1.1)  # of a file's end, and how much of it the last value is held
_PREFILTER = "HP:0.500000Hz LP:45.000000Hz RF:50Hz"
_PATIENT = f"X X X {SIMULATED_MARK}"
_RECORDING = f"Startdate X X X {SIMULATED_MARK}"
_FILES = ("RECORDS", "SHA256SUMS.txt", "subject-info.csv")


@dataclass(frozen=True)
class Plan:
    """Levels that are drawn before any signal: z (person, rest and arithmetic, LEVELS), and the person's own part
    of it, (person, LEVELS).
    """

    z: F64
    subject_z: F64


def latents(params: SimulateEegmat) -> Latents:
    """What is drawn of each recording."""
    plan = plan_cohort(params)
    level = task_levels(MOVED_BY, plan.z, plan.subject_z, 1, params.hidden_share)
    high = np.tile([0.0, 1.0], params.subjects)[:, None]
    return Latents(
        tasks=(TASK,),
        subject=tuple(f"s{number:02d}" for number in range(params.subjects) for _ in range(2)),
        clip=(1, 2) * params.subjects,
        value=high,
        moved=high == 1,
        level=level.reshape(-1, 1),
        effect=task_effects(MOVED_BY, 1, params.effect_d),
        hidden_share=params.hidden_share,
    )


def plan_cohort(params: SimulateEegmat) -> Plan:
    """Draw the levels of the whole cohort from `params.seed`."""
    rng = np.random.default_rng([params.seed, 0])
    centred = np.broadcast_to([[-0.5], [0.5]], (params.subjects, 2, 1)).astype(np.float64)
    shift = shifts(MOVED_BY, centred, params.effect_d, params.hidden_share)
    return Plan(*draw_levels(rng, params.seed, shift, params.subject_rho, params.hidden_share))


def simulate_eegmat(last: Path, params: SimulateEegmat) -> None:
    """Write the tree that ends with `last`: RECORDS, Subject<NN>_{1,2}.edf, subject-info.csv, SHA256SUMS.txt.

    The folder appears whole or not at all, and takes the place of an earlier tree. The header of each EDF file says
    that it is simulated. The same seed gives the same bytes.

    Raises:
        PhysiopipeError: the folder holds something that is no such tree.
    """
    root = last.parent
    if root.exists():
        visible = {entry.name for entry in root.iterdir() if entry.name[0] != "."} - set(_FILES)
        if foreign := sorted(name for name in visible if not FILE_NAME.fullmatch(name)):
            raise PhysiopipeError(
                f"{root} holds {foreign[0]!r}, which is no part of a simulated tree: "
                "expected a folder to be replaced; name another, or move its content away."
            )
    plan, position = plan_cohort(params), _positions()
    with atomic_folder(root) as folder:
        sums: list[tuple[str, str]] = []

        def write(name: str, content: bytes) -> None:
            (folder / name).write_bytes(content)
            sums.append((name, hashlib.sha256(content).hexdigest()))

        names, rows = [], ["Subject,Age,Gender,Recording year,Number of subtractions,Count quality"]
        for number in range(params.subjects):
            own = np.random.default_rng([params.seed, 1, number])
            head = Head.draw(own, position)
            age, sex, count = own.integers(16, 27), "FM"[own.integers(2)], own.uniform(1, 35)
            rows.append(f"Subject{number:02d},{age},{sex},1985,{count:.2f},{int(count > 10)}")
            for clip, length_s in enumerate((params.rest_s, params.arithmetic_s), 1):
                rng, unseen = (np.random.default_rng([params.seed, stream, number, clip]) for stream in (2, 4))
                level, hidden = dict(zip(LEVELS, plan.z[number, clip - 1].tolist(), strict=True)), None
                if params.hidden_share > 0:
                    hidden = Hidden.draw(unseen, level, length_s - params.change_s, length_s)
                names.append(f"Subject{number:02d}_{clip}.edf")
                write(names[-1], _file(rng, head, level, hidden, length_s))
        write("subject-info.csv", ("\n".join(rows) + "\n").encode())
        write("RECORDS", ("\n".join(names) + "\n").encode())
        lines = "".join(f"{digest} {name}\n" for name, digest in sorted(sums))
        (folder / last.name).write_text(lines, encoding="utf-8")


def _positions() -> F64:
    """Head position (right, front) of EEG_CHANNELS, head radius about 1."""
    from physiopipe.recordings.montage import positions_m

    flat = np.array([position[:2] for position in positions_m(EEG_CHANNELS).values()])
    middle = (flat.max(axis=0) + flat.min(axis=0)) / 2
    return np.asarray((flat - middle) / np.abs(flat - middle).max())


def _file(
    rng: np.random.Generator, head: Head, level: dict[str, float], hidden: Hidden | None, length_s: float
) -> bytes:
    samples = round(length_s * RATE_HZ)
    eeg = eeg_of_levels(rng, head, level, samples, RATE_HZ, _EEG_RMS_UV, _HIGHEST_HZ, hidden)
    ears = _EARS_SHARE * (eeg[EEG_CHANNELS.index("T8")] - eeg[EEG_CHANNELS.index("T7")])
    breath_rad = hidden.breath_rad if hidden else None
    lead = DOWER[1:2]  # seen as by lead II, which nothing here may know
    ecg = ecg_of_levels(rng, level, samples, RATE_HZ, lead, breath_rad)
    recorded = np.vstack([eeg, ears, ecg])
    whole = (math.ceil(length_s) + round(_PADDING_S)) * RATE_HZ
    signal = np.zeros((len(recorded), whole))
    held = samples + round(rng.uniform(*_HELD_S) * RATE_HZ)
    signal[:, :samples] = recorded
    signal[:, samples:held] = recorded[:, -1:]
    channels = [EdfChannel(label, "mV" if label[:3] == "ECG" else "uV", _PREFILTER) for label in LABELS]
    return edf_bytes(signal, RATE_HZ, channels, _PATIENT, _RECORDING)
