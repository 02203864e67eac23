"""A simulated stand-in for the Challenge 2021 tree: WFDB records in the published layout, from a seed alone.

Each beat is a sum of Gaussians on the heart vector, seen through Dower's matrix; noise, wander and mains are added at
the electrodes, so that every lead is a difference of electrodes as on a patient. Two records are bad on purpose, so
that rejection is exercised wherever a source has at least three: the last but one of `georgia` has a truncated `.mat`,
the last of `cpsc_2018` holds WFDB's "no value" (-32768) for half a second of lead V2.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physiopipe.cohorts.challenge import LEADS, SOURCES, SimulateChallenge, Source
from physiopipe.cohorts.heartbeats import DOWER, F32, F64, NORMAL_BEAT, beats_of_rate, gaussians
from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_folder

UNITS_PER_MV = 1000
WFDB_NO_VALUE = -32768
Rhythm = str
I16 = npt.NDArray[np.int16]


@dataclass(frozen=True)
class _Shape:
    """What records of one source look like: rate, lengths (shortest, longest; s), mains, names and header style."""

    prefix: str
    rate_hz: int
    lengths_s: tuple[float, float]
    mains_hz: float
    recorded: str
    gain: str = "1000/mV"
    storage: str = "16+24"
    before_first: int = 0  # records are numbered on from here, as where two sources share one prefix


_SHAPES: dict[Source, _Shape] = {
    "chapman_shaoxing": _Shape("JS", 500, (10, 10), 50, "23-Mar-2021 20:20:47"),
    "cpsc_2018": _Shape("A", 500, (6, 60), 50, "12-May-2020 12:33:59"),
    "cpsc_2018_extra": _Shape("Q", 500, (8, 60), 50, "15-May-2020 15:35:30"),
    "georgia": _Shape("E", 500, (5, 10), 60, "05-May-2020 14:50:55", "1000.0(0)/mV", "16x1+24"),
    "ningbo": _Shape("JS", 500, (10, 10), 50, "25-Mar-2021 22:53:00", before_first=10_646),
    "ptb": _Shape("S", 1000, (30, 120), 50, "15-May-2020 15:22:05", "1000/mv"),
    "ptb-xl": _Shape("HR", 500, (10, 10), 50, "04-Jun-2020 15:11:55", "1000.0(0)/mv", "16x1+24"),
    "st_petersburg_incart": _Shape("I", 257, (1800, 1800), 50, "15-May-2020 15:33:43"),
}

# Rhythm: SNOMED CT codes of the Dx line, share of records, (lowest, highest) heart rate in beats a minute.
RHYTHMS: dict[Rhythm, tuple[str, float, tuple[float, float]]] = {
    "sinus": ("426783006", 0.40, (60, 99)),
    "bradycardia": ("426177001", 0.15, (40, 58)),
    "tachycardia": ("427084000", 0.15, (102, 150)),
    "atrial_fibrillation": ("164889003", 0.14, (60, 140)),
    "ventricular_premature": ("426783006,427172004", 0.08, (60, 95)),
    "atrial_premature": ("426783006,284470004", 0.08, (60, 95)),
}


def simulate_challenge(last: Path, params: SimulateChallenge) -> None:
    """Write the tree whose list `last` comes last: RECORDS, training/<source>/g1/{RECORDS, *.hea, *.mat}.

    The folder appears whole or not at all, and takes the place of an earlier tree. Record k of a source depends on the
    seed, the source and k alone, so asking for more records changes none. Names begin with `sim_`, and each header
    carries a comment that says so.

    Raises:
        PhysiopipeError: `root` holds something that is no such tree.
    """
    root = last.parent
    if root.exists():
        foreign = {entry.name for entry in root.iterdir()} - {"RECORDS", "SHA256SUMS.txt", "training"}
        if foreign := {name for name in foreign if not name.startswith(".")}:
            raise PhysiopipeError(
                f"{root} holds {sorted(foreign)[0]!r}, which is no part of a simulated tree: "
                "expected a folder to be replaced; name another, or move its content away."
            )
    with atomic_folder(root) as folder:
        sums: list[tuple[str, str]] = []

        def write(relative: str, content: bytes) -> None:
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            sums.append((relative, hashlib.sha256(content).hexdigest()))

        for source in SOURCES:
            names = []
            for number in range(1, params.records_per_source + 1):
                name, header, samples = _record(source, number, params)
                write(f"training/{source}/g1/{name}.hea", header)
                write(f"training/{source}/g1/{name}.mat", samples)
                names.append(name)
            write(f"training/{source}/g1/RECORDS", "".join(f"{name}\n" for name in names).encode())
        write("RECORDS", "".join(f"training/{source}/g1/\n" for source in SOURCES).encode())
        lines = "".join(f"{digest} {relative}\n" for relative, digest in sorted(sums))
        (folder / "SHA256SUMS.txt").write_text(lines, encoding="utf-8")


def _record(source: Source, number: int, params: SimulateChallenge) -> tuple[str, bytes, bytes]:
    """Name, header and `.mat` of one record."""
    shape = _SHAPES[source]
    rng = np.random.default_rng([params.seed, SOURCES.index(source), number])
    rhythms = list(RHYTHMS)
    rhythm = rhythms[rng.choice(len(rhythms), p=[RHYTHMS[r][1] for r in rhythms])]
    shortest, longest = shape.lengths_s
    # most published records last about 10 s, and a long tail does not
    length_s = longest if rng.random() < 0.7 and longest == 10 else shortest + (longest - shortest) * rng.random() ** 2
    length_s = min(max(length_s, params.min_length_s), params.max_length_s)
    leads = simulate_leads(rng, rhythm, round(length_s * shape.rate_hz), shape.rate_hz, shape.mains_hz)
    last = params.records_per_source
    spoil = last >= 3
    if spoil and source == "cpsc_2018" and number == last:
        leads[7, 1000:1250] = WFDB_NO_VALUE
    name = f"sim_{shape.prefix}{shape.before_first + number:05d}"
    age, sex = int(rng.integers(18, 90)), ("Female", "Male")[int(rng.integers(2))]
    header = _header(name, shape, leads, age, sex, RHYTHMS[rhythm][0])
    # MATLAB v4: type 30 (little-endian int16 matrix), rows, columns, imaginary part, length of the name, "val"
    head = np.array([30, len(LEADS), leads.shape[1], 0, 4], "<i4").tobytes() + b"val\0"
    samples = head + np.ascontiguousarray(leads.T).astype("<i2").tobytes()
    if spoil and source == "georgia" and number == last - 1:
        samples = samples[: len(samples) // 3]
    return name, header, samples


def _header(name: str, shape: _Shape, leads: I16, age: int, sex: str, diagnosis: str) -> bytes:
    lines = [f"{name} {len(LEADS)} {shape.rate_hz} {leads.shape[1]} {shape.recorded}"]
    checksums = leads.sum(axis=1, dtype=np.int64).astype(np.uint16).astype(np.int16)  # WFDB: modulo 2^16, signed
    for lead, first, checksum in zip(LEADS, leads[:, 0], checksums, strict=True):
        lines.append(f"{name}.mat {shape.storage} {shape.gain} 16 0 {first} {checksum} 0 {lead}")
    lines += [f"#Age: {age}", f"#Sex: {sex}", f"#Dx: {diagnosis}", "#Rx: Unknown", "#Hx: Unknown", "#Sx: Unknown"]
    return ("\n".join([*lines, "#simulated by physiopipe"]) + "\n").encode()


def simulate_leads(rng: np.random.Generator, rhythm: Rhythm, n_samples: int, rate_hz: int, mains_hz: float) -> I16:
    """Twelve leads (12, n_samples) in LEADS order, int16, 1000 units a millivolt.

    Leads I and II are rounded first; III = II − I holds exactly, and aVR, aVL, aVF to within half a unit.
    """
    heart = DOWER @ _heart_vector(rng, rhythm, n_samples, rate_hz)
    electrodes = _electrode_noise(rng, n_samples, rate_hz, mains_hz)  # RA, LA, LL, V1..V6
    right, left, foot = electrodes[:3]
    measured = heart + np.vstack([left - right, foot - right, electrodes[3:] - electrodes[:3].mean(axis=0)])
    measured[2:] += rng.normal(0, 0.02, (6, 1))  # electrode offsets
    if rng.random() < 0.03:
        measured[2 + rng.integers(6)] = 0.0  # an electrode that fell off
    units = np.rint(measured * UNITS_PER_MV).clip(-15000, 15000)
    one, two = units[0], units[1]
    limbs = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])
    rounded: I16 = np.rint(np.vstack([limbs, units[2:]])).astype(np.int16)
    return rounded


def _heart_vector(rng: np.random.Generator, rhythm: Rhythm, n_samples: int, rate_hz: int) -> F32:
    """Heart vector (3, n_samples) in mV: every wave of every beat, and fibrillatory waves where there are any."""
    times, premature = _beats(rng, rhythm, n_samples / rate_hz)
    ventricular = premature & (rhythm == "ventricular_premature")
    previous_rr = np.diff(times, prepend=times[0] - (times[1] - times[0]))
    breathing = 1 + 0.06 * np.sin(2 * np.pi * rng.uniform(0.15, 0.35) * times + rng.uniform(0, 6.28))
    tilt = _rotation(rng)
    size = np.exp(rng.normal(0, 0.25))
    vector = np.zeros((3, n_samples), np.float32)
    for name, wave in NORMAL_BEAT.items():
        offset, height = np.full(len(times), wave.offset_s), size * breathing
        if name == "P":
            height = height * (0.0 if rhythm == "atrial_fibrillation" else 1.0) * ~ventricular
            offset = np.where(premature, -0.13, offset)
        if name.startswith("T"):  # QT shortens with the root of the beat-to-beat time (Bazett)
            offset = offset * np.sqrt(previous_rr.clip(0.35, 1.4)) * np.where(ventricular, 1.25, 1.0)
            height = height * np.where(ventricular, -2.0, 1.0) * np.exp(rng.normal(0, 0.2))
        elif name in "QS":
            height = height * ~ventricular
        direction = tilt @ np.asarray(wave.vector_mv)
        normal = height * ~ventricular if name == "R" else height
        vector += np.outer(direction, gaussians(n_samples, rate_hz, times + offset, wave.width_s, normal)).astype("f4")
    if ventricular.any():  # one broad complex from the right ventricle, instead of Q, R and S
        broad = gaussians(n_samples, rate_hz, times[ventricular], 0.035, 1.4 * size * breathing[ventricular])
        vector += np.outer(tilt @ np.array([0.75, 0.45, 0.65]), broad).astype(np.float32)
    if rhythm == "atrial_fibrillation":
        t = np.arange(n_samples) / rate_hz
        drift = np.cumsum(rng.normal(0, 1.5 / np.sqrt(rate_hz), n_samples))
        phase = 2 * np.pi * rng.uniform(5, 8) * t + drift
        waves = np.sin(phase) + 0.4 * np.sin(2 * phase)
        vector += np.outer(rng.uniform(0.04, 0.1) * np.array([0.3, 0.7, -0.6]), waves).astype(np.float32)
    return vector


def _beats(rng: np.random.Generator, rhythm: Rhythm, length_s: float) -> tuple[F64, npt.NDArray[np.bool_]]:
    """Times (s) of the R peaks from before the start to after the end, and which beats are premature."""
    low, high = RHYTHMS[rhythm][2]
    mean_bpm = rng.uniform(low, high)
    t = np.arange(0, length_s + 6, 0.1)
    if rhythm == "atrial_fibrillation":
        rr = (60 / mean_bpm * np.exp(rng.normal(0, 0.22, int(len(t) * 0.3 * mean_bpm / 60) + 20))).clip(0.32, 2.2)
        times = np.cumsum(rr)
        times = times[times < t[-1]] - 3.0
        return times, np.zeros(len(times), np.bool_)
    slow, breath = rng.uniform(0.08, 0.12), rng.uniform(0.2, 0.3)
    swing = 0.02 * np.sin(2 * np.pi * slow * t + rng.uniform(0, 6.28))
    swing += rng.uniform(0.01, 0.05) * np.sin(2 * np.pi * breath * t + rng.uniform(0, 6.28))
    times = beats_of_rate(mean_bpm * (1 + swing), 10.0) - 3.0 + rng.uniform(0, 60 / mean_bpm)
    premature = np.zeros(len(times), np.bool_)
    if rhythm.endswith("premature"):
        early = np.arange(rng.integers(4, 7), len(times) - 1, rng.integers(4, 9))
        premature[early] = True
        times[early] -= 0.35 * 60 / mean_bpm
        if rhythm == "atrial_premature":  # resets the sinus node: no full compensatory pause
            times -= np.cumsum(0.2 * 60 / mean_bpm * np.roll(premature, 1))
    return times, premature


def _rotation(rng: np.random.Generator) -> F64:
    """A heart axis of its own: rotations by a few ten degrees about the back and the foot axes."""
    a, b = rng.normal(0, np.radians([20, 15]))
    about_back = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_foot = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return np.asarray(about_back @ about_foot, dtype=np.float64)


def _electrode_noise(rng: np.random.Generator, n_samples: int, rate_hz: int, mains_hz: float) -> F32:
    """Noise (9, n_samples) of the electrodes RA, LA, LL, V1..V6 in mV: muscle, wander by breath and skin, mains."""
    t = np.arange(n_samples) / rate_hz
    noise = rng.standard_normal((9, n_samples), np.float32) * np.float32(0.008 * np.exp(rng.normal(0, 0.6)))
    # Sizes and their spread as in 361 published records (docs/data.md): most baselines hardly move, some do, slowly.
    wander_mv = 0.0078 * np.exp(rng.normal(0, 0.5)) * np.exp(rng.normal(0, 0.45, (9, 1)))
    for lowest_hz, highest_hz, spread in ((0.03, 0.2, 0.9), (0.15, 0.35, 0.6), (0.25, 0.5, 0.3)):
        angle = 2 * np.pi * rng.uniform(lowest_hz, highest_hz) * t + rng.uniform(0, 6.28)
        weights = (wander_mv * np.exp(rng.normal(0, spread)) * rng.normal(0, 1, (9, 2))).astype(np.float32)
        noise += weights @ np.stack([np.sin(angle), np.cos(angle)]).astype(np.float32)
    mains_mv = 0.004 * np.exp(rng.normal(0, 0.6))  # the difference that the amplifier's common-mode rejection leaves
    for harmonic, share in ((1, 1.0), (3, 0.2)):
        if harmonic * mains_hz < 0.45 * rate_hz:
            drift = 1 + rng.normal(0, 0.0005)
            wave = np.sin(2 * np.pi * harmonic * mains_hz * drift * t + rng.uniform(0, 6.28)).astype(np.float32)
            noise += rng.normal(0, mains_mv * share, (9, 1)).astype(np.float32) * wave
    return noise
