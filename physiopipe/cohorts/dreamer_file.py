"""DREAMER.mat, real or simulated: EEG and ECG of every clip in one pass, one subject in memory at a time.

DREAMER (Katsigiannis & Ramzan 2018, doi:10.1109/JBHI.2017.2688239): 23 people watched 18 film clips and rated each for
valence, arousal and dominance. Nesting: DREAMER.Data{subject}.{EEG,ECG}.stimuli{clip} (time × channel), and
.Score{Valence,Arousal,Dominance}(clip). The units of neither modality are documented.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from physiopipe.cohorts.dreamer import (
    ACCESS,
    ECG_CHANNELS,
    ECG_RATE_HZ,
    EEG_CHANNELS,
    EEG_RATE_HZ,
    RATINGS,
    DreamerData,
)
from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.matfile import Matrix, MatStream, open_mat
from physiopipe.recordings.recording import Recording, Rejected, Unit

SUBJECTS, CLIPS = 23, 18
SIMULATED_MARK = "simulated by physiopipe"  # stands in the descriptive text that begins a simulated file

_SCORES = {f"Score{rating.capitalize()}": rating for rating in RATINGS}
_LONGEST_MISMATCH_S = 1.0


@dataclass
class _Subject:
    """Everything of one subject: (part, modality) → clips as (time, channel) arrays; rating → (clip,) scores."""

    signals: dict[tuple[str, str], list[npt.NDArray[np.float32]]] = field(default_factory=dict)
    scores: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def read_dreamer(path: Path, data: DreamerData, simulated: bool) -> Iterator[Recording | Rejected]:
    """Yield each clip's EEG and ECG, by subject and clip: `s01_c01_eeg`, `s01_c01_ecg`, `s01_c02_eeg`, …

    EEG is float32 (14, time) at 128 Hz in µV (times `data.eeg_unit_uv`, its offset near 4200 kept), ECG (2, time) at
    256 Hz, unit unspecified. Both begin at the clip's first instant and are cut to the same length in seconds. A clip
    with a rating that is NaN or outside 1..5, or with a signal that cannot be used, comes as `Rejected` rows instead.

    Where `data.read_baseline` asks for it, the neutral film before each clip comes ahead of it in the same form:
    `s01_c01_baseline_eeg`, its clip the negative of the clip's number, without ratings.

    The file is read as a stream, so a fault in its last part is raised after the recordings of the first: keep
    nothing of what was yielded before an error.

    Args:
        path: the file.
        data: unit of the EEG; whether baselines are read.
        simulated: whether a simulated file is expected; a real one must have 23 subjects and 18 clips.

    Raises:
        PhysiopipeError: no such file; not a readable MATLAB file; another structure than DREAMER's; a simulated file
            where the real one is expected, or the other way round.
    """
    if not path.is_file():
        raise PhysiopipeError(f"{path} is missing. {ACCESS}")
    return _read(path, data, simulated)


def _read(path: Path, data: DreamerData, simulated: bool) -> Iterator[Recording | Rejected]:
    with open_mat(path) as (text, stream):
        if (SIMULATED_MARK in text) != simulated:
            found, wanted = ("a simulated", "the real") if not simulated else ("not a simulated", "a simulated")
            raise PhysiopipeError(
                f"{path} is {found} file, expected {wanted} one: set `data.dreamer.origin` to what it is."
            )
        others: list[str] = []
        while (head := stream.variable()) is not None and head.name != "DREAMER":
            others.append(head.name)
            stream.skip(head)
        if head is None:
            _wrong(path, "the variable DREAMER", f"{', '.join(others) or 'no variable'}")
        for number, subject in _subjects(path, stream, head, simulated, data.read_baseline):
            yield from _clips(number, subject, data)
        stream.finish()


def _wrong(path: Path, wanted: str, found: object) -> NoReturn:
    raise PhysiopipeError(
        f"{path} is not DREAMER.mat as published: looked for {wanted}, found {found}. "
        "Take the file of Zenodo record 546113 unchanged."
    )


def _subjects(
    path: Path, stream: MatStream, head: Matrix, simulated: bool, baseline: bool
) -> Iterator[tuple[int, _Subject]]:
    """Walk through DREAMER: yield its subjects, check the fields around them."""
    seen = set()
    clips, parts = None if simulated else CLIPS, ("baseline", "stimuli") if baseline else ("stimuli",)
    for name, at in _struct(path, stream, head, "DREAMER", ("Data", "EEG_SamplingRate", "ECG_SamplingRate")):
        seen.add(name)
        if name == "Data":
            count = _count(path, at, "cell array", "DREAMER.Data", None if simulated else SUBJECTS)
            for number in range(1, count + 1):
                yield number, _subject(path, stream, f"DREAMER.Data{{{number}}}", clips, parts)
        elif name in ("EEG_SamplingRate", "ECG_SamplingRate"):
            wanted, found = (EEG_RATE_HZ if name.startswith("EEG") else ECG_RATE_HZ), stream.numbers(at).ravel()
            if found.tolist() != [wanted]:
                _wrong(path, f"DREAMER.{name} of {wanted} Hz", found.tolist())
        elif name == "EEG_Electrodes":
            count = _count(path, at, "cell array", "DREAMER.EEG_Electrodes", len(EEG_CHANNELS))
            names = tuple(_text(stream) for _ in range(count))
            if names != EEG_CHANNELS:
                _wrong(path, f"DREAMER.EEG_Electrodes {' '.join(EEG_CHANNELS)}", " ".join(names) or "none")
        stream.skip(at)


def _subject(path: Path, stream: MatStream, where: str, clips: int | None, parts: tuple[str, ...]) -> _Subject:
    subject = _Subject()
    for name, at in _struct(path, stream, stream.matrix(), where, ("EEG", "ECG", *_SCORES)):
        if name in _SCORES:
            _count(path, at, "numbers", f"{where}.{name}", clips)
            subject.scores[_SCORES[name]] = stream.numbers(at).ravel().astype(np.float64)
        elif name in ("EEG", "ECG"):
            channels = len(EEG_CHANNELS if name == "EEG" else ECG_CHANNELS)
            for part, cell in _struct(path, stream, at, f"{where}.{name}", parts):
                if part in parts:
                    count = _count(path, cell, "cell array", f"{where}.{name}.{part}", clips)
                    subject.signals[part, name.lower()] = [
                        _signal(path, stream, f"{where}.{name}.{part}{{{i}}}", channels) for i in range(1, count + 1)
                    ]
                stream.skip(cell)
        stream.skip(at)
    counts = {" of ".join(name): len(values) for name, values in subject.signals.items()}
    counts |= {name: len(values) for name, values in subject.scores.items()}
    if len(set(counts.values())) != 1:
        _wrong(path, f"as many clips in each part of {where}", ", ".join(f"{n} of {k}" for k, n in counts.items()))
    return subject


def _struct(
    path: Path, stream: MatStream, head: Matrix, where: str, wanted: tuple[str, ...]
) -> Iterator[tuple[str, Matrix]]:
    """Fields of a 1×1 struct, each with the head of its array; the caller leaves the stream behind that array."""
    if head.kind != "struct" or head.shape != (1, 1):
        _wrong(path, f"{where}: 1×1 struct", head)
    names = stream.fields()
    if missing := [name for name in wanted if name not in names]:
        _wrong(path, f"{where}.{missing[0]}", f"the fields {', '.join(names) or 'none'}")
    for name in names:
        yield name, stream.matrix()


def _count(path: Path, head: Matrix, kind: str, where: str, wanted: int | None) -> int:
    """Number of elements of a vector of the kind wanted."""
    count = int(np.prod(head.shape))
    if head.kind != kind or max(head.shape) != count or (wanted is not None and count != wanted):
        _wrong(path, f"{where}: {kind} of {wanted or 'some'} elements", head)
    return count


def _text(stream: MatStream) -> str:
    head = stream.matrix()
    return stream.text(head) if head.kind == "text" else str(head)


def _signal(path: Path, stream: MatStream, where: str, channels: int) -> npt.NDArray[np.float32]:
    head = stream.matrix()
    if head.kind == "numbers" and 0 in head.shape:
        stream.skip(head)
        return np.zeros((0, channels), np.float32)
    if head.kind != "numbers" or len(head.shape) != 2 or head.shape[1] != channels:
        swapped = " (time and channel are swapped)" if head.kind == "numbers" and head.shape[0] == channels else ""
        _wrong(path, f"{where}: time × {channels} numbers", f"{head}{swapped}")
    return stream.numbers(head).astype(np.float32)


def _clips(number: int, subject: _Subject, data: DreamerData) -> Iterator[Recording | Rejected]:
    """Recordings of one subject, or why there is none; a clip's baseline comes ahead of it."""
    for clip in range(1, len(subject.signals["stimuli", "eeg"]) + 1):
        name = f"s{number:02d}_c{clip:02d}"
        ratings = {rating: float(subject.scores[rating][clip - 1]) for rating in RATINGS}
        fault = "; ".join(f"{k} rating is {v:g}, expected 1 to 5" for k, v in ratings.items() if not 1 <= v <= 5)
        for part, prefix, its_clip, its_ratings, its_fault in (
            ("baseline", f"{name}_baseline", -clip, {}, ""),
            ("stimuli", name, clip, ratings, fault),
        ):
            if (part, "eeg") in subject.signals:
                eeg, ecg = (subject.signals[part, modality][clip - 1] for modality in ("eeg", "ecg"))
                yield from _pair(eeg, ecg, data, prefix, f"s{number:02d}", its_clip, its_ratings, its_fault)


def _pair(
    eeg: npt.NDArray[np.float32],
    ecg: npt.NDArray[np.float32],
    data: DreamerData,
    name: str,
    subject: str,
    clip: int,
    ratings: dict[str, float],
    fault: str,
) -> Iterator[Recording | Rejected]:
    """The EEG and the ECG (time, channel) of one stretch, cut to the same length, or why there is none."""
    eeg_s, ecg_s = len(eeg) / EEG_RATE_HZ, len(ecg) / ECG_RATE_HZ
    if not fault and abs(eeg_s - ecg_s) > _LONGEST_MISMATCH_S:
        fault = f"EEG lasts {eeg_s:.1f} s and ECG {ecg_s:.1f} s: they cannot be aligned"
    length_s = min(eeg_s, ecg_s)
    modalities: tuple[tuple[str, npt.NDArray[np.float32], int, tuple[str, ...], Unit, float], ...] = (
        ("eeg", eeg, EEG_RATE_HZ, EEG_CHANNELS, "uV", data.eeg_unit_uv),
        ("ecg", ecg, ECG_RATE_HZ, ECG_CHANNELS, "unspecified", 1.0),
    )
    for modality, signal, rate_hz, channels, unit, scale in modalities:
        record = f"{name}_{modality}"
        kept = signal[: int(length_s * rate_hz)].T * np.float32(scale)
        reason = fault or ("" if kept.size else "no samples")
        if not reason and not np.isfinite(kept).all():
            reason = f"{np.count_nonzero(~np.isfinite(kept))} samples are NaN or infinite"
        if reason:
            yield Rejected(record, reason)
        else:
            kept = np.ascontiguousarray(kept)
            yield Recording(kept, rate_hz, channels, unit, "dreamer", record, subject, clip, ratings)
