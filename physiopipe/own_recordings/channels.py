"""Which channels of a file are the ECG leads or EEG electrodes that are wanted, by their names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import Modality
from physiopipe.files import shorten
from physiopipe.recordings.clinical_order import in_clinical_order
from physiopipe.recordings.opened import Channel, OpenedFile
from physiopipe.recordings.recording import (
    LongRecording,
    LongSignal,
    Recording,
    RejectedRecord,
    Unit,
)
from physiopipe.signals.electrodes import canonical_electrode, is_electrode
from physiopipe.signals.leads import CLINICAL_LEADS, canonical_lead
from physiopipe.signals.pieces import LONG_SAMPLES

UNITS: dict[Modality, Unit] = {"eeg": "uV", "ecg": "mV"}
UNNAMED_LEAD = "ECG"  # the one row of a recording whose lead is not named
_SAYS_ECG = re.compile(r"(?:ECG|EKG)")
_CHEST_OR_SCALP = re.compile(r"C[1-6]")
_SHOWN = 30


def ecg_recording(file: OpenedFile, name: str, named: Mapping[str, str] | None = None) -> Recording | LongRecording:
    """The ECG of a file in mV: 12 rows in clinical order, or one row where a single lead is not named.

    Leads are found by name (`MLII`, `ECG V1`, `aVR`), limb leads derived from I and II, and what is not there is
    missing. Where channels say that they are ECG, by their name or in BIDS' table, only these are looked at. C1 to C6
    are chest leads only in a file without another electrode's name (Cz, Fp1).

    Args:
        file: an opened file.
        name: of the recording.
        named: lead → name of the file's channel, for channels whose name does not tell; then no other is read.

    Raises:
        RejectedRecord: no ECG, several channels whose leads are not named, two of one lead, no voltage, other rates.
    """
    if named:
        rows = {lead: _row_called(file.channels, channel) for lead, channel in named.items()}
        if odd := [lead for lead in rows if lead not in (*CLINICAL_LEADS, UNNAMED_LEAD)]:
            raise RejectedRecord(f"{odd[0]!r} is no lead: expected one of {', '.join(CLINICAL_LEADS)}")
    else:
        rows = _ecg_rows(file.channels)
    found = _read(file, name, list(rows.values()), tuple(rows), "ecg")
    return found if tuple(rows) == (UNNAMED_LEAD,) else in_clinical_order(found)


def _ecg_rows(channels: Sequence[Channel]) -> dict[str, int]:
    """Lead → row; the lead is UNNAMED_LEAD where a single channel is ECG and does not say which."""
    said = [row for row, each in enumerate(channels) if each.kind == "ecg"]
    said = said or [
        row for row, each in enumerate(channels) if not each.kind and _SAYS_ECG.match(each.name.strip().upper())
    ]
    scalp = any(is_electrode(each.name) and not _is_chest(each.name) for each in channels)
    rows = said or [
        row
        for row, each in enumerate(channels)
        if not each.kind and canonical_lead(each.name) and not (scalp and _is_chest(each.name))
    ]
    if not rows:
        raise RejectedRecord(
            f"no ECG among its channels: {_listed(channels)}; expected leads by name (I, II, V1, ECG II) or one ECG. "
            "Say which it is with --channel LEAD=NAME"
        )
    leads: dict[str, int] = {}
    for row in rows:
        lead = canonical_lead(channels[row].name)
        if lead in leads:
            raise RejectedRecord(f"channels {channels[leads[lead]].name} and {channels[row].name} are both lead {lead}")
        if lead is not None:
            leads[lead] = row
    if leads:
        return leads
    if len(rows) > 1:
        raise RejectedRecord(
            f"{len(rows)} ECG channels that do not say which lead they are: "
            f"{_listed([channels[row] for row in rows])}; say it with --channel LEAD=NAME"
        )
    return {UNNAMED_LEAD: rows[0]}


def _is_chest(name: str) -> bool:
    return _CHEST_OR_SCALP.fullmatch(name.strip().upper()) is not None


def modality_recording(
    file: OpenedFile, name: str, modality: Modality, wanted: tuple[str, ...], named: Mapping[str, str] | None = None
) -> Recording | LongRecording:
    """The channels that a model was fitted on, in its order; what a file does not have is missing, and 0.

    Args:
        wanted: the model's channels of the modality.
        named: one of `wanted` → name of the file's channel, for channels whose name does not tell.

    Raises:
        RejectedRecord: none of them is there, or they cannot be read.
    """
    of_wanted = {each: channel for each, channel in (named or {}).items() if each in wanted}
    if modality == "ecg" and set(wanted) <= set(CLINICAL_LEADS):  # limb leads are derived here too
        return _some_leads(ecg_recording(file, name, of_wanted), wanted)
    rows = {each: _row_called(file.channels, channel) for each, channel in of_wanted.items()}
    if modality == "eeg":
        rows |= {each: row for each, row in _electrodes(file.channels, wanted).items() if each not in rows}
    elif not rows:
        leads = _ecg_rows(file.channels)
        if len(leads) != 1 or len(wanted) != 1:
            raise RejectedRecord(
                f"it has the leads {', '.join(leads)}, and the model's {', '.join(wanted)} is of no named lead: say "
                f"which it is with --channel {wanted[0]}=NAME"
            )
        rows = dict(zip(wanted, leads.values(), strict=True))
    if not rows:
        raise RejectedRecord(
            f"none of the model's {modality.upper()} channels ({', '.join(wanted[:_SHOWN])}) is among its channels: "
            f"{_listed(file.channels)}. Say which is which with --channel {wanted[0]}=NAME"
        )
    there = tuple(each for each in wanted if each in rows)
    found = _read(file, name, [rows[each] for each in there], there, modality)
    return found if there == wanted else _with_missing(found, wanted)


def _electrodes(channels: Sequence[Channel], wanted: tuple[str, ...]) -> dict[str, int]:
    by_name: dict[str, list[int]] = {}
    for row, each in enumerate(channels):
        if each.kind in ("", "eeg"):
            by_name.setdefault(canonical_electrode(each.name), []).append(row)
    found = {}
    for electrode in wanted:
        rows = by_name.get(canonical_electrode(electrode), [])
        if len(rows) > 1:
            raise RejectedRecord(f"{' and '.join(channels[row].name for row in rows[:2])} are both {electrode}")
        if rows:
            found[electrode] = rows[0]
    return found


def _row_called(channels: Sequence[Channel], name: str) -> int:
    rows = [row for row, each in enumerate(channels) if each.name == name]
    if len(rows) != 1:
        how_many = "no channel" if not rows else f"{len(rows)} channels"
        raise RejectedRecord(f"it has {how_many} {shorten(name, 80)!r}; it has: {_listed(channels)}")
    return rows[0]


def _read(
    file: OpenedFile, name: str, rows: list[int], channels: tuple[str, ...], modality: Literal["eeg", "ecg"]
) -> Recording | LongRecording:
    unit = UNITS[modality]
    signal = file.voltage(rows, unit)
    empty = np.empty((len(rows), 0), np.float32)
    head = Recording(empty, file.channels[rows[0]].rate_hz, channels, unit, "", name, name)
    samples = signal.shape[1]
    return LongRecording(head, signal) if samples > LONG_SAMPLES else replace(head, signal=signal.read(0, samples))


def _some_leads(found: Recording | LongRecording, wanted: tuple[str, ...]) -> Recording | LongRecording:
    """Some of the twelve leads, in another order."""
    head = found.head if isinstance(found, LongRecording) else found
    if head.channels != CLINICAL_LEADS:
        raise RejectedRecord(
            f"its ECG does not say which lead it is, and the model wants {', '.join(wanted)}: say it with "
            f"--channel {wanted[0]}=NAME"
        )
    if not set(wanted) - set(head.missing):
        raise RejectedRecord(f"none of the model's ECG leads ({', '.join(wanted)}) is there")
    return _arranged(found, [CLINICAL_LEADS.index(each) for each in wanted], wanted)


def _with_missing(found: Recording | LongRecording, wanted: tuple[str, ...]) -> Recording | LongRecording:
    head = found.head if isinstance(found, LongRecording) else found
    rows = [head.channels.index(each) if each in head.channels else None for each in wanted]
    return _arranged(found, rows, wanted)


def _arranged(
    found: Recording | LongRecording, rows: Sequence[int | None], channels: tuple[str, ...]
) -> Recording | LongRecording:
    """Rows of a recording under other names; None is a channel that it does not have."""
    head = found.head if isinstance(found, LongRecording) else found
    gone = tuple(each for each, row in zip(channels, rows, strict=True) if row is None or each in head.missing)
    derived = tuple(each for each in channels if each in head.derived)
    arranged = replace(head, channels=channels, missing=gone, derived=derived, signal=_taken(head.signal, rows))
    return LongRecording(arranged, _Taken(found.signal, rows)) if isinstance(found, LongRecording) else arranged


def _taken(signal: npt.NDArray[np.float32], rows: Sequence[int | None]) -> npt.NDArray[np.float32]:
    taken = np.zeros((len(rows), signal.shape[1]), np.float32)
    for at, row in enumerate(rows):
        if row is not None:
            taken[at] = signal[row]
    return taken


class _Taken(LongSignal):
    def __init__(self, signal: LongSignal, rows: Sequence[int | None]) -> None:
        self._signal, self._rows, self.shape = signal, rows, (len(rows), signal.shape[1])

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        return _taken(self._signal.read(first, end), self._rows)


def _listed(channels: Sequence[Channel]) -> str:
    names = [each.name for each in channels]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN]) or 'none'}{more}"
