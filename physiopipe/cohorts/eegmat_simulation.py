"""A simulated stand-in for EEGMAT whose effects are planted, so that the best attainable AUC is known.

The task moves one EEG and one ECG quantity: arithmetic lowers alpha power and raises the heart rate; the others vary
from person to person and from recording to recording alone. A quantity's level, in units of its SD over recordings:
z = d · sign · (arithmetic − ½) + rho · (person) + (recording).
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from physiopipe.cohorts.eegmat import (
    EEG_CHANNELS,
    RATE_HZ,
    TASK,
    SimulateEegmat,
)
from physiopipe.cohorts.eegmat_tree import FILE_NAME, LABELS, SIMULATED_MARK
from physiopipe.cohorts.heartbeats import DOWER, F64
from physiopipe.cohorts.planted_signals import QUANTITIES, Head, ecg_of_levels, eeg_of_levels
from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_folder
from physiopipe.recordings.edf_writing import EdfChannel, edf_bytes

SIGN = {"alpha": -1.0, "heart_rate": 1.0}  # of the quantities that arithmetic moves
_EEG_RMS_UV, _HIGHEST_HZ = 10.0, 45.0
_EARS_SHARE = 0.3  # size of A2-A1 against the scalp's EEG
_PADDING_S, _HELD_S = 2.0, (0.5, 1.1)  # of a file's end, and how much of it the last value is held
_PREFILTER = "HP:0.500000Hz LP:45.000000Hz RF:50Hz"
_PATIENT = f"X X X {SIMULATED_MARK}"
_RECORDING = f"Startdate X X X {SIMULATED_MARK}"
_FILES = ("RECORDS", "SHA256SUMS.txt", "subject-info.csv")


@dataclass(frozen=True)
class Plan:
    """Levels that are drawn before any signal: z (person, rest and arithmetic, QUANTITIES), and the person's own part
    of it, (person, QUANTITIES).
    """

    z: F64
    subject_z: F64


def attainable_auc(params: SimulateEegmat, _rule: object = None) -> dict[str, tuple[float, float]]:
    """Best AUC from the two quantities that the task moves: as they are, and with each person's own level known.

    Φ(d / √(1 + rho²)) and Φ(d); the second is also how often the two recordings of a person can be told apart.
    """
    phi = NormalDist().cdf
    return {TASK: (phi(params.effect_d / math.sqrt(1 + params.subject_rho**2)), phi(params.effect_d))}


def plan_cohort(params: SimulateEegmat) -> Plan:
    """Draw the levels of the whole cohort from `params.seed`."""
    rng = np.random.default_rng([params.seed, 0])
    sign = np.array([SIGN.get(quantity, 0.0) for quantity in QUANTITIES])
    subject_z = params.subject_rho * rng.standard_normal((params.subjects, len(QUANTITIES)))
    own = rng.standard_normal((params.subjects, 2, len(QUANTITIES)))
    shift = params.effect_d * np.array([-0.5, 0.5])[:, None] * sign
    return Plan(shift + subject_z[:, None] + own, subject_z)


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
                rng = np.random.default_rng([params.seed, 2, number, clip])
                level = dict(zip(QUANTITIES, plan.z[number, clip - 1].tolist(), strict=True))
                names.append(f"Subject{number:02d}_{clip}.edf")
                write(names[-1], _file(rng, head, level, length_s))
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


def _file(rng: np.random.Generator, head: Head, level: dict[str, float], length_s: float) -> bytes:
    samples = round(length_s * RATE_HZ)
    eeg = eeg_of_levels(rng, head, level, samples, RATE_HZ, _EEG_RMS_UV, _HIGHEST_HZ)
    ears = _EARS_SHARE * (eeg[EEG_CHANNELS.index("T8")] - eeg[EEG_CHANNELS.index("T7")])
    ecg = ecg_of_levels(rng, level, samples, RATE_HZ, DOWER[1:2])  # seen as by lead II, which nothing here may know
    recorded = np.vstack([eeg, ears, ecg])
    whole = (math.ceil(length_s) + round(_PADDING_S)) * RATE_HZ
    signal = np.zeros((len(recorded), whole))
    held = samples + round(rng.uniform(*_HELD_S) * RATE_HZ)
    signal[:, :samples] = recorded
    signal[:, samples:held] = recorded[:, -1:]
    channels = [EdfChannel(label, "mV" if label[:3] == "ECG" else "uV", _PREFILTER) for label in LABELS]
    return edf_bytes(signal, RATE_HZ, channels, _PATIENT, _RECORDING)
