"""The twelve clinical leads: names, order, and those that follow from leads I and II."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError

F32 = npt.NDArray[np.float32]

CLINICAL_LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# Einthoven (III = II - I) and Goldberger: each as weights of I and II.
FROM_I_AND_II: dict[str, tuple[float, float]] = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
_BY_CAPITALS = {lead.upper(): lead for lead in CLINICAL_LEADS}
_ALIASES = _BY_CAPITALS | {
    "ML1": "I",
    "MLI": "I",
    "ML2": "II",
    "MLII": "II",
    "ML3": "III",
    "MLIII": "III",
    "D1": "I",
    "DI": "I",
    "L1": "I",
    "D2": "II",
    "DII": "II",
    "L2": "II",
    "D3": "III",
    "DIII": "III",
    "L3": "III",
    "VR": "aVR",
    "VL": "aVL",
    "VF": "aVF",
    **{f"MV{number}": f"V{number}" for number in range(1, 7)},
    **{f"C{number}": f"V{number}" for number in range(1, 7)},
}
_PREFIX = re.compile(r"^(?:(?:ECG|EKG|LEAD)(?=[^A-Z]|I|V|AV|M|D|L|C))+")


class LeadSet(NamedTuple):
    """A recording in clinical order.

    Attributes:
        signal: float32 (12, time), rows as in `CLINICAL_LEADS`; a missing lead is exactly 0.
        present: bool (12,), the lead was recorded or derived.
        derived: bool (12,), the lead was computed from I and II.
    """

    signal: F32
    present: npt.NDArray[np.bool_]
    derived: npt.NDArray[np.bool_]


@lru_cache(maxsize=256)
def canonical_lead(name: str) -> str | None:
    """Clinical name of a channel as recorders write it (`MLII`, `AVR`, `Lead I`, `ECG V1`), or None for another."""
    capitals = re.sub(r"[\s_\-.:()]+", " ", name.upper()).strip()
    words = capitals.split()
    while len(words) > 1 and words[0] in ("ECG", "EKG", "LEAD"):
        words = words[1:]
    joined = "".join(words)
    if joined in _ALIASES:
        return _ALIASES[joined]
    return _ALIASES.get(_PREFIX.sub("", joined))


def to_clinical_order(signal: npt.NDArray[np.floating], channels: Sequence[str]) -> LeadSet:
    """Sort a recording's leads by name, derive III, aVR, aVL and aVF from I and II where absent, leave the rest 0.

    Args:
        signal: (channel, time), any unit.
        channels: a name for each row.

    Raises:
        PhysiopipeError: no channel is a clinical lead, two channels are the same lead, or names and rows differ.
    """
    if signal.ndim != 2 or signal.shape[0] != len(channels):
        raise PhysiopipeError(
            f"Found a signal of shape {signal.shape} with {len(channels)} channel names: one name a row."
        )
    rows: dict[str, int] = {}
    for row, name in enumerate(channels):
        lead = canonical_lead(name)
        if lead is None:
            continue
        if lead in rows:
            raise PhysiopipeError(
                f"Channels {channels[rows[lead]]!r} and {name!r} are both lead {lead}: name each lead once."
            )
        rows[lead] = row
    if not rows:
        raise PhysiopipeError(
            f"No clinical lead among the channels {', '.join(channels) or '(none)'}: "
            f"expected names like {', '.join(CLINICAL_LEADS)}."
        )
    if tuple(channels) == CLINICAL_LEADS:
        everywhere = np.ones(len(CLINICAL_LEADS), dtype=np.bool_)
        return LeadSet(np.ascontiguousarray(signal, dtype=np.float32), everywhere, ~everywhere)
    ordered = np.zeros((len(CLINICAL_LEADS), signal.shape[1]), dtype=np.float32)
    present = np.zeros(len(CLINICAL_LEADS), dtype=np.bool_)
    derived = np.zeros(len(CLINICAL_LEADS), dtype=np.bool_)
    for position, lead in enumerate(CLINICAL_LEADS):
        if lead in rows:
            ordered[position] = signal[rows[lead]]
        elif lead in FROM_I_AND_II and "I" in rows and "II" in rows:
            of_one, of_two = FROM_I_AND_II[lead]
            ordered[position] = of_one * signal[rows["I"]] + of_two * signal[rows["II"]]
            derived[position] = True
        else:
            continue
        present[position] = True
    return LeadSet(ordered, present, derived)
