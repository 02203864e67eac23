"""How many records could not be used, and why: counted by kind, and too many of them stop the run."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from physiopipe.errors import PhysiopipeError

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_KINDS = 6  # that are told


class Rejections(NamedTuple):
    """Records of one modality, counted.

    Attributes:
        modality: ecg or eeg.
        usable: records with a window.
        unusable: records that are here and gave none.
        absent: records that are listed and not here.
        reasons: (times, reason of the first such record, its name) of each kind, the most frequent first.
    """

    modality: str
    usable: int
    unusable: int
    absent: int
    reasons: tuple[tuple[int, str, str], ...]

    def exceeds(self, most: float) -> bool:
        """Whether a larger share than `most` is unusable; one record alone is not too many, unless `most` is 0."""
        return self.unusable > (max(1.0, most * (self.usable + self.unusable)) if most else 0)

    def in_words(self) -> str:
        """One line."""
        told = f"{self.modality}: {self.unusable} of {self.usable + self.unusable} records rejected"
        if self.absent:
            told += f", {self.absent} absent"
        if self.reasons:
            kinds = [f"{times} x {reason} ({record})" for times, reason, record in self.reasons[:_KINDS]]
            left = len(self.reasons) - len(kinds)
            told += f": {'; '.join(kinds)}" + (f"; and {left} more kinds" if left else "")
        return told


def count_rejections(
    modality: str, abouts: Sequence[Mapping[str, Any]], rejected: Sequence[tuple[str, str]]
) -> Rejections:
    """Count what the parts of a modality say of their records.

    Args:
        abouts: content of each part.json.
        rejected: (record, reason) of all of them.
    """
    kinds: dict[str, tuple[int, str, str]] = {}
    for record, reason in rejected:
        kind = _NUMBER.sub("#", reason.replace(record, "#"))
        times, first, name = kinds.get(kind, (0, reason, record))
        kinds[kind] = (times + 1, first, name)
    absent = sum(about["absent"] for about in abouts)
    return Rejections(
        modality,
        sum(about["records"] for about in abouts),
        sum(about["rejected"] for about in abouts) - absent,
        absent,
        tuple(sorted(kinds.values(), key=lambda kind: -kind[0])),
    )


def check_share(cohort: str, counted: Sequence[Rejections], most: float) -> None:
    """Refuse a cohort with a larger share of unusable records than `most` in a modality.

    Raises:
        PhysiopipeError: with the reasons by number.
    """
    over = [each for each in counted if each.exceeds(most)]
    if over:
        told = "\n".join(f"  {each.in_words()}" for each in over)
        raise PhysiopipeError(
            f"cohort {cohort}: more records cannot be used than data.{cohort}.max_rejected_share ({most:g}) allows:\n"
            f"{told}\nAll are in data/parts/*/*/*/rejected.csv. Mend what rejects them (the filter's corners? the "
            f"download?), or raise data.{cohort}.max_rejected_share."
        )
