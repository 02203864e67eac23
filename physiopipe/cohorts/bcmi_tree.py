"""The tree of ds002722: a batch a person, and the trials of one run read from its EDF and its events.

`sub-<NN>/eeg/sub-<NN>_task-run<R>_{eeg.edf, events.tsv}`: the run is part of BIDS' task, not a run of its own.
"""

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physiopipe.cohorts.base import PublishedList
from physiopipe.cohorts.bcmi import (
    COHORT,
    ECG_CHANNELS,
    EEG_CHANNELS,
    FILE_CHANNELS,
    REPORT_DECIMALS,
    REPORTS,
    BcmiData,
)
from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.edf import EdfSamples, in_unit, read_edf_samples
from physiopipe.recordings.file_list import ListedFile, read_list
from physiopipe.recordings.recording import Recording, Rejected, RejectedRecord, Unit
from physiopipe.recordings.transport import Tree
from physiopipe.recordings.tree import Batch, record_of

SIGNALS, EVENTS = "_eeg.edf", "_events.tsv"
EVENT_COLUMNS = ("onset", "duration", "trial_type")
TARGETS = range(1, 10)  # codes of the state that the music aims at
MUSIC = range(101, 210)  # codes of the piece: 100 and its place in the list of pieces
NO_MUSIC = 1000  # a clip whose piece is not named is 1000 + 100 · run + trial: nobody else has it
LOWEST, HIGHEST = 0.0, 9.0  # of a report
REPORT_SLACK = 0.01  # what rounding to int16 may put a report beyond its ends; one that never exceeds it is in volts
_RUN = re.compile(r"(sub-[0-9]{2})_task-run([1-9])")
_FILE = re.compile(r"(sub-[0-9]{2})/eeg/(sub-[0-9]{2})_task-run([1-9])(_eeg\.edf|_events\.tsv)")
_SPELLED = {"microV": "uV"}  # as the sidecar files spell it


@dataclass(frozen=True)
class Trial:
    """One piece of music.

    Attributes:
        number: 1-based, in the order of the run's events.
        onset_s, duration_s: where it lies in the recording.
        target: code of the state that the music aims at, 1 to 9.
        music: code of the piece, 101 to 209; 0 where none is named.
    """

    number: int
    onset_s: float
    duration_s: float
    target: int
    music: int


def plan_batches(tree: Tree, data: BcmiData) -> list[Batch]:
    """A batch for each person: 0.3 GB of five runs, their files listed signals first.

    Raises:
        PhysiopipeError: the list of a simulated tree is missing or wrong, or lists nobody who is wanted.
    """
    how = COHORT.publication
    assert isinstance(how, PublishedList)
    if data.origin == "simulated":
        with tree.connect() as connection:
            where = connection.locate(how.last_file)
            text = tree.read_text(how.last_file)
    else:
        where, text = str(how.list_path), how.list_path.read_text(encoding="utf-8")
    runs_of: dict[str, dict[str, list[ListedFile]]] = {}
    for listed in sorted(read_list(text, where)):  # `_eeg.edf` before `_events.tsv` of each run
        found = _FILE.fullmatch(listed.path)
        if not found or found[1] != found[2]:
            raise PhysiopipeError(f"{where} names {listed.path!r}: expected sub-NN/eeg/sub-NN_task-runN{{eeg,events}}.")
        runs_of.setdefault(found[1], {}).setdefault(found[3], []).append(listed)
    wanted = list(runs_of) if data.subjects is None else list(dict.fromkeys(data.subjects))
    if unknown := [name for name in wanted if name not in runs_of]:
        raise PhysiopipeError(
            f"data.bcmi.subjects names {', '.join(unknown)}: {where} has {', '.join(runs_of) or 'nobody'}."
        )
    batches = []
    for subject in wanted:
        runs = list(runs_of[subject].values())[: data.max_runs_per_subject]
        files = [listed for run in runs for listed in run]
        entries = tuple(listed.entry for listed in files)
        batches.append(Batch(subject, COHORT.name, entries, sum(listed.size for listed in files)))
    return batches


def read_run(path: Path, source: str, modality: str, data: BcmiData) -> Iterator[Recording | Rejected]:
    """Each trial of a run, `sub-01_task-run1_trial-01_eeg` and so on: from the music's start to the trial's end.

    EEG is float32 (32, time) in µV, ECG (1, time) in mV, both at the file's rate. A trial's `clip` is its piece of
    music (1 to 109), the same for all people; nobody hears one twice. Its ratings are the mean reports, rounded to
    0.001; its flags say which report hardly moved. A trial that cannot be used comes as `Rejected`.

    Args:
        path: the run's EDF, with its events beside it.

    Raises:
        RejectedRecord: nothing of the run can be used: a file that is missing or wrong, or reports outside 0 to 9.
    """
    run = record_of(path.name)
    named = _RUN.fullmatch(run)
    if not named:
        raise RejectedRecord(f"{path.name} is not named sub-NN_task-runN{SIGNALS}")
    trials = read_events(path.with_name(run + EVENTS))
    channels, unit, stored = _of_modality(modality)
    samples = read_edf_samples(path, (*stored, *REPORTS.values()))
    reports = dict(zip(REPORTS, samples.signal[len(stored) :], strict=True))
    _check_reports(path, reports)
    signal = _in_unit(samples, len(stored), unit, data)
    at_onset = [trial.onset_s for trial in trials]
    for trial in trials:
        record = f"{run}_trial-{trial.number:02d}_{modality}"
        together = at_onset.count(trial.onset_s)
        begin = round(trial.onset_s * samples.rate_hz)
        end, first, last = (
            begin + round(after_s * samples.rate_hz)
            for after_s in (trial.duration_s, data.report_from_s, data.report_until_s)
        )
        if together > 1 or trial.onset_s <= 0:
            yield Rejected(
                record, f"its onset is not known: {together} of the run's trials begin at {trial.onset_s:g} s"
            )
        elif max(end, last) > signal.shape[1]:
            seconds = signal.shape[1] / samples.rate_hz
            yield Rejected(
                record, f"begins at {trial.onset_s:g} s and does not end within the recording's {seconds:g} s"
            )
        else:
            means = {task: float(values[first:last].mean(dtype=np.float64)) for task, values in reports.items()}
            still = [task for task, values in reports.items() if np.ptp(values[begin:last]) < data.still_below]
            yield Recording(
                signal=np.ascontiguousarray(signal[:, begin:end]),
                rate_hz=samples.rate_hz,
                channels=channels,
                unit=unit,
                source=source,
                record=record,
                subject=named[1],
                clip=trial.music - MUSIC[0] + 1 if trial.music else NO_MUSIC + 100 * int(named[2]) + trial.number,
                ratings={task: round(mean, REPORT_DECIMALS) for task, mean in means.items()},
                flags=tuple(sorted(f"{task}_still" for task in still)),
            )


def read_events(path: Path) -> list[Trial]:
    """The trials of a run, in the order of its events: a target and, in most runs, the piece of music after it.

    Raises:
        RejectedRecord: missing, other columns, numbers or codes, or music without a trial.
        PhysiopipeError: the file is there but the system would not let it be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise RejectedRecord(f"{path.name} is missing") from None
    except OSError as error:
        raise PhysiopipeError(
            f"{path} cannot be read ({error.strerror}): look at its permissions and the disk."
        ) from None
    reader = csv.DictReader(io.StringIO(text), delimiter="\t")
    if tuple(reader.fieldnames or ()) != EVENT_COLUMNS:
        raise RejectedRecord(f"{path.name} has other columns than {', '.join(EVENT_COLUMNS)}")
    trials: list[Trial] = []
    for row in reader:
        onset_s, duration_s, code = _event(path.name, row)
        if code in TARGETS:
            trials.append(Trial(len(trials) + 1, onset_s, duration_s, code, 0))
        elif code in MUSIC and trials and trials[-1].onset_s == onset_s and not trials[-1].music:
            trials[-1] = Trial(trials[-1].number, onset_s, duration_s, trials[-1].target, code)
        else:
            raise RejectedRecord(f"{path.name}: event {code} at {onset_s:g} s is no target and no music of one")
    if not trials:
        raise RejectedRecord(f"{path.name} lists no trial")
    return trials


def _event(name: str, row: dict[str | Any, str | Any]) -> tuple[float, float, int]:
    try:
        onset_s, duration_s, code = float(row["onset"]), float(row["duration"]), int(row["trial_type"])
    except (TypeError, ValueError):
        raise RejectedRecord(f"{name}: expected numbers, found {list(row.values())}") from None
    if not 0 <= onset_s < math.inf or not 0 < duration_s < math.inf:
        raise RejectedRecord(f"{name}: event {code} begins at {onset_s:g} s and lasts {duration_s:g} s")
    return onset_s, duration_s, code


def _of_modality(modality: str) -> tuple[tuple[str, ...], Unit, tuple[str, ...]]:
    """Names and unit of its channels, and the names of the same channels in the files."""
    if modality == "eeg":
        return EEG_CHANNELS, "uV", FILE_CHANNELS
    return ECG_CHANNELS, "mV", ECG_CHANNELS


def _check_reports(path: Path, reports: dict[str, npt.NDArray[np.float32]]) -> None:
    """Refuse reports that are not on their scale: which unit the header gives them is not published."""
    for task, values in reports.items():
        low, high = float(values.min()), float(values.max())
        if low < LOWEST - REPORT_SLACK or high > HIGHEST + REPORT_SLACK:
            raise RejectedRecord(
                f"{path.name}: reports of {task} ({REPORTS[task]}) from {low:g} to {high:g}, expected 0 to 9"
            )
    if all(float(values.max()) < REPORT_SLACK for values in reports.values()):
        raise RejectedRecord(f"{path.name}: no report ever exceeds {REPORT_SLACK:g}, expected 0 to 9 with 4.5 neutral")


def _in_unit(samples: EdfSamples, count: int, unit: Unit, data: BcmiData) -> npt.NDArray[np.float32]:
    """The first `count` channels in the modality's unit."""
    units = tuple(_SPELLED.get(each, each) or data.unnamed_unit for each in samples.units[:count])
    return in_unit(EdfSamples(samples.labels[:count], samples.signal[:count], samples.rate_hz, units), unit)
