"""A simulated stand-in for ds002722 whose effects are planted, so that an oracle's AUC is known.

Mean reports share a part of each person and each piece of music. Each task moves one EEG and one ECG quantity: valence
lowers alpha power and T amplitude, arousal raises beta power and heart rate; and one that these do not show
(`planted_signals.Hidden`): valence the asymmetry, arousal the coupling of EEG and breath. A report wanders from where
it was to the trial's mean within 10 s; where it does not move, it lies at the mean all along.

As in the published files, one run gives no onset for a third of its trials, and another names no music.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physiopipe.cohorts.bcmi import EEG_CHANNELS, FILE_CHANNELS, NEUTRAL, RATE_HZ, REPORTS, SimulateBcmi
from physiopipe.cohorts.bcmi_tree import EVENT_COLUMNS, EVENTS, MUSIC, NO_MUSIC, SIGNALS, Trial
from physiopipe.cohorts.heartbeats import DOWER, F64
from physiopipe.cohorts.planted_levels import Latents, draw_levels, shifts, task_effects, task_levels
from physiopipe.cohorts.planted_signals import LEVELS, Head, Hidden, ecg_of_levels, eeg_of_levels
from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_folder
from physiopipe.recordings.edf_writing import EdfChannel, edf_bytes
from physiopipe.recordings.file_list import ListedFile, described, write_list

SIMULATED_MARK = "simulated by physiopipe"
LIST = "files.csv"
TRIAL_S, FIRST_S, SETTLED_S, COUNTED_S = 21, 9.643, 10, 20  # a trial, the first one's onset, and what its report does
# The task (index into REPORTS) that moves a level, and which way; the others vary by themselves.
MOVED_BY: dict[str, tuple[int, float]] = {
    "alpha": (0, -1.0), "t_wave": (0, -1.0), "beta": (1, 1.0), "heart_rate": (1, 1.0), "asymmetry": (0, 1.0),
    "coupling": (1, 1.0),
}  # fmt: skip
TASK_CORRELATION = 0.2
_WITHOUT_MUSIC = (1, 0)  # person and run
_REPORT_SD, _NEAREST, _LOWEST, _HIGHEST, _WANDER = 2.0, 0.25, 0.5, 8.5, 0.2  # of mean reports; _WANDER within one
_EEG_RMS_UV, _HIGHEST_HZ = 15.0, 120.0
_OFFSET_SD_UV = 50.0
_UV_PER_MV = 1000.0
# Head position (right, front) of EEG_CHANNELS, head radius 1.
_LEFT = {
    "Fp1": (-0.31, 0.95), "F7": (-0.81, 0.59), "F3": (-0.42, 0.55), "FT9": (-1.05, 0.34), "FC5": (-0.7, 0.28),
    "FC1": (-0.24, 0.28), "T7": (-1.0, 0.0), "C3": (-0.5, 0.0), "TP9": (-1.05, -0.34), "CP5": (-0.7, -0.28),
    "CP1": (-0.24, -0.28), "P7": (-0.81, -0.59), "P3": (-0.42, -0.55), "O1": (-0.31, -0.95),
}  # fmt: skip
_MIDDLE = {"Fpz": (0.0, 1.0), "Fz": (0.0, 0.5), "Cz": (0.0, 0.0), "Pz": (0.0, -0.5)}


@dataclass(frozen=True)
class Plan:
    """What is simulated before any signal.

    Attributes:
        music: (person, trial) codes of the pieces; every person hears each piece once.
        reports: (person, trial, REPORTS) mean reports, 0.5 to 8.5, none nearer to 4.5 than 0.25.
        still: (person, trial), trials whose reports do not move.
        z, subject_z: levels (person, trial, LEVELS), and the person's own part of them, (person, LEVELS).
    """

    music: npt.NDArray[np.int64]
    reports: F64
    still: npt.NDArray[np.bool_]
    z: F64
    subject_z: F64


def latents(params: SimulateBcmi) -> Latents:
    """What is drawn of each trial. Effects are planted above NEUTRAL, whatever threshold is asked for later."""
    plan = plan_cohort(params)
    people, trials, tasks = plan.reports.shape
    level = task_levels(MOVED_BY, plan.z, plan.subject_z, tasks, params.hidden_share)
    return Latents(
        tasks=tuple(REPORTS),
        subject=tuple(f"sub-{person + 1:02d}" for person in range(people) for _ in range(trials)),
        clip=_clips(plan, params),
        value=plan.reports.reshape(-1, tasks),
        moved=plan.reports.reshape(-1, tasks) > NEUTRAL,
        level=level.reshape(-1, tasks),
        effect=task_effects(MOVED_BY, tasks, params.effect_d),
        hidden_share=params.hidden_share,
    )


def _clips(plan: Plan, params: SimulateBcmi) -> tuple[int, ...]:
    """How the reader numbers trials: by their piece, or, in the run that names none, by run and trial."""
    clips = plan.music - MUSIC[0] + 1
    person, run = _WITHOUT_MUSIC
    clips[person, run * params.trials : (run + 1) * params.trials] = (
        NO_MUSIC + 100 * (run + 1) + 1 + np.arange(params.trials)
    )
    return tuple(clips.ravel().tolist())


def plan_cohort(params: SimulateBcmi) -> Plan:
    """Draw music, reports and levels of the whole cohort from `params.seed`."""
    rng = np.random.default_rng([params.seed, 0])
    people, trials, tasks = params.subjects, params.runs * params.trials, len(REPORTS)
    order = np.stack([rng.permutation(trials) for _ in range(people)])
    mix = np.linalg.cholesky(np.array([[1, TASK_CORRELATION], [TASK_CORRELATION, 1]])).T
    score = sqrt(0.1) * rng.standard_normal((people, 1, tasks)) @ mix
    score = score + sqrt(0.4) * (rng.standard_normal((trials, tasks)) @ mix)[order]
    score = score + sqrt(0.5) * rng.standard_normal((people, trials, tasks)) @ mix
    away = _REPORT_SD * score
    away = np.where(away > 0, 1.0, -1.0) * np.maximum(np.abs(away), _NEAREST)
    reports = np.clip(NEUTRAL + away, _LOWEST, _HIGHEST)
    centred = (reports > NEUTRAL) - (reports > NEUTRAL).mean(axis=(0, 1))
    shift = shifts(MOVED_BY, centred, params.effect_d, params.hidden_share)
    z, subject_z = draw_levels(rng, params.seed, shift, params.subject_rho, params.hidden_share)
    still = rng.random((people, trials)) < params.still_share
    return Plan(MUSIC[0] + order, reports, still, z, subject_z)


def simulate_bcmi(last: Path, params: SimulateBcmi) -> None:
    """Write the tree whose list `last` comes last: README, sub-NN/eeg/sub-NN_task-runN_{eeg.edf, events.tsv}.

    The folder appears whole or not at all, and takes the place of an earlier tree. Every header says that its file is
    simulated. The same seed gives the same bytes.

    Raises:
        PhysiopipeError: the folder holds something that is no such tree.
    """
    root = last.parent
    if root.exists():
        foreign = sorted(
            entry.name
            for entry in root.iterdir()
            if not entry.name.startswith((".", "sub-")) and entry.name not in ("README", LIST)
        )
        if foreign:
            raise PhysiopipeError(
                f"{root} holds {foreign[0]!r}, which is no part of a simulated tree: expected a folder to be replaced; "
                "name another, or move its content away."
            )
    plan = plan_cohort(params)
    with atomic_folder(root) as folder:
        (folder / "README").write_text(f"BCMI calibration, {SIMULATED_MARK}: not ds002722.\n", encoding="utf-8")
        listed: list[ListedFile] = []
        for person in range(params.subjects):
            for relative, content in _person(person, plan, params):
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                listed.append(described(relative, content))
        (folder / last.name).write_text(write_list(sorted(listed)), encoding="utf-8")


def _person(person: int, plan: Plan, params: SimulateBcmi) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file of one person."""
    head = Head.draw(np.random.default_rng([params.seed, 1, person]), _positions(), (0.0, _OFFSET_SD_UV))
    for run in range(params.runs):
        own = slice(run * params.trials, (run + 1) * params.trials)
        rng = np.random.default_rng([params.seed, 2, person, run])
        onsets = FIRST_S + (TRIAL_S + params.gap_s) * np.arange(params.trials)
        trials = [
            Trial(number, round(float(onset), 3), TRIAL_S, 1 + int(code) % 9, int(code))
            for number, (onset, code) in enumerate(zip(onsets, plan.music[person, own], strict=True), 1)
        ]
        name = f"sub-{person + 1:02d}_task-run{run + 1}"
        folder = f"sub-{person + 1:02d}/eeg/{name}"
        signal = _signals(rng, head, trials, plan, params, person, own)
        channels = [EdfChannel(label, "uV") for label in (*FILE_CHANNELS, "GSR", "ECG", *REPORTS.values(), "VAtarg")]
        yield f"{folder}{SIGNALS}", edf_bytes(signal, RATE_HZ, channels, "X X X X", SIMULATED_MARK, plus=False)
        last = person == params.subjects - 1 and run == params.runs - 1
        yield f"{folder}{EVENTS}", _events(trials, last, (person, run) == _WITHOUT_MUSIC).encode()


def _events(trials: list[Trial], lose_onsets: bool, lose_music: bool) -> str:
    """A run's events; a third of the onsets become 0, as in the published run that lost them, or no music is named."""
    lost = {trial.number for trial in trials[-max(2, len(trials) // 3) :]} if lose_onsets else set()
    rows = []
    for trial in sorted(trials, key=lambda each: each.number not in lost):  # those at 0 come first
        onset = "0" if trial.number in lost else f"{trial.onset_s:g}"
        codes = (trial.target,) if lose_music else (trial.target, trial.music)
        rows += [f"{onset}\t{trial.duration_s:g}\t{code}" for code in codes]
    return "\n".join(["\t".join(EVENT_COLUMNS), *rows]) + "\n"


def _signals(
    rng: np.random.Generator,
    head: Head,
    trials: list[Trial],
    plan: Plan,
    params: SimulateBcmi,
    person: int,
    own: slice,
) -> F64:
    """All channels of a run (37, time) at 1000 Hz, the voltages in µV."""
    count = len(FILE_CHANNELS)
    seconds = int(trials[-1].onset_s) + TRIAL_S + 4
    signal = np.empty((count + 5, seconds * RATE_HZ))
    begins = [round(trial.onset_s * RATE_HZ) for trial in trials]
    edges = [0, *(at for begin in begins for at in (begin, begin + TRIAL_S * RATE_HZ)), signal.shape[1]]
    levels = [plan.subject_z[person]]  # at rest, then in turn a trial and a rest
    for z in plan.z[person, own]:
        levels += [z, plan.subject_z[person]]
    lead = DOWER[1:2]  # II
    unseen = np.random.default_rng([params.seed, 4, person, own.start])
    for first, end, z in zip(edges, edges[1:], levels, strict=False):
        level, hidden = dict(zip(LEVELS, z.tolist(), strict=True)), None
        if params.hidden_share > 0:
            hidden = Hidden.draw(unseen, level, 0.0, COUNTED_S)
        signal[:count, first:end] = eeg_of_levels(
            rng, head, level, end - first, RATE_HZ, _EEG_RMS_UV, _HIGHEST_HZ, hidden
        )
        breath_rad = hidden.breath_rad if hidden else None
        mv = ecg_of_levels(rng, level, end - first, RATE_HZ, lead, breath_rad)
        signal[count + 1, first:end] = _UV_PER_MV * mv[0]
    signal[count] = 500 + np.cumsum(rng.normal(0, 0.02, signal.shape[1]))  # GSR
    still = plan.still[person, own]
    for task in range(len(REPORTS)):
        signal[count + 2 + task] = _report(rng, begins, plan.reports[person, own, task], still, signal.shape[1])
    signal[count + 4] = 0
    for begin, trial in zip(begins, trials, strict=True):
        signal[count + 4, begin : begin + TRIAL_S * RATE_HZ] = trial.target
    return signal


def _report(rng: np.random.Generator, begins: list[int], means: F64, still: npt.NDArray[np.bool_], samples: int) -> F64:
    """A continuous report (time,): from 10 to 20 s into each trial its mean is the trial's."""
    times, values = [0], [NEUTRAL]
    for begin, mean, rests in zip(begins, means.tolist(), still.tolist(), strict=True):
        start = mean if rests else values[-1]
        wander = np.zeros(5) if rests else rng.uniform(-_WANDER, _WANDER, 5)
        wander -= np.average(wander, weights=[1, 2, 2, 2, 1])  # of a broken line, so that its mean is 0
        times += [begin, *(begin + np.linspace(SETTLED_S, COUNTED_S, 5) * RATE_HZ).astype(int).tolist()]
        values += [start, *(mean + wander).tolist()]
        if rests:
            times.append(begin + TRIAL_S * RATE_HZ)
            values.append(mean)
    return np.asarray(np.interp(np.arange(samples), times, values), dtype=np.float64)


def _positions() -> F64:
    right = {_mirrored(name): (-x, y) for name, (x, y) in _LEFT.items()}
    known = _LEFT | _MIDDLE | right
    return np.array([known[name] for name in EEG_CHANNELS])


def _mirrored(name: str) -> str:
    """Name of the electrode on the other side: one more."""
    letters = name.rstrip("0123456789")
    return f"{letters}{int(name[len(letters) :]) + 1}"
