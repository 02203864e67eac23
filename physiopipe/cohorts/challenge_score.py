"""The PhysioNet/CinC Challenge 2021's scored diagnoses and its metric (Reyna et al., Will Two Do?, 2021).

The table of weights is not carried here: it is `weights.csv` of github.com/physionetchallenges/evaluation-2021.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError

F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

SINUS_RHYTHM = "426783006"
# SNOMED CT codes by abbreviation; those that the Challenge scores as one diagnosis stand together
SCORED: dict[str, tuple[str, ...]] = {
    "AF": ("164889003",),
    "AFL": ("164890007",),
    "BBB": ("6374002",),
    "Brady": ("426627000",),
    "CLBBB|LBBB": ("733534002", "164909002"),
    "CRBBB|RBBB": ("713427006", "59118001"),
    "IAVB": ("270492004",),
    "IRBBB": ("713426002",),
    "LAD": ("39732003",),
    "LAnFB": ("445118002",),
    "LPR": ("164947007",),
    "LQRSV": ("251146004",),
    "LQT": ("111975006",),
    "NSIVCB": ("698252002",),
    "NSR": (SINUS_RHYTHM,),
    "PAC|SVPB": ("284470004", "63593006"),
    "PR": ("10370003",),
    "PRWP": ("365413008",),
    "PVC|VPB": ("427172004", "17338001"),
    "QAb": ("164917005",),
    "RAD": ("47665007",),
    "SA": ("427393009",),
    "SB": ("426177001",),
    "STach": ("427084000",),
    "TAb": ("164934002",),
    "TInv": ("59931005",),
}
RHYTHMS = ("AF", "AFL", "Brady", "NSR", "PAC|SVPB", "PR", "PVC|VPB", "SA", "SB", "STach")


class ChallengeWeights(NamedTuple):
    """Credit for answering class k where class j is true: values (class, class), classes as in the file's header."""

    classes: tuple[frozenset[str], ...]
    values: F64

    def ordered_as(self, names: Sequence[str]) -> F64:
        """Values (name, name) of classes of SCORED, in this order."""
        places = []
        for name in names:
            wanted = frozenset(SCORED[name])
            if wanted not in self.classes:
                raise PhysiopipeError(
                    f"The table of weights has no class {name} ({'|'.join(SCORED[name])}): expected the 26 classes of "
                    "the Challenge 2021's final weights.csv."
                )
            places.append(self.classes.index(wanted))
        return self.values[np.ix_(places, places)]


def read_weights(path: Path) -> ChallengeWeights:
    """Read weights.csv: a header of SNOMED codes (equal ones joined by |), then a row a class in the same order."""
    if not path.exists():
        raise PhysiopipeError(
            f"{path} is missing: fetch weights.csv of github.com/physionetchallenges/evaluation-2021 and name it."
        )
    with path.open(encoding="utf-8", newline="") as handle:
        head, *rows = list(csv.reader(handle))
    classes = tuple(frozenset(cell.strip().split("|")) for cell in head[1:])
    beside = tuple(frozenset(row[0].strip().split("|")) for row in rows)
    try:
        values = np.array([[float(cell) for cell in row[1:]] for row in rows])
    except ValueError:
        values = np.zeros((0, 0))
    if classes != beside or values.shape != (len(classes), len(classes)) or not np.isfinite(values).all():
        raise PhysiopipeError(f"{path} is no table of weights: expected one row a column, equally named, and numbers.")
    return ChallengeWeights(classes, values)


def diagnoses(codes: Iterable[Iterable[str]], names: Sequence[str]) -> Bool:
    """Bool (record, name): whether a record's SNOMED codes hold one of those of each class of SCORED."""
    sets = [frozenset(SCORED[name]) for name in names]
    found = [[bool(wanted & own) for wanted in sets] for own in map(frozenset, codes)]
    return np.array(found, dtype=np.bool_).reshape(-1, len(sets))


def challenge_score(labels: Bool, outputs: Bool, weights: F64, sinus_rhythm: int) -> float:
    """The Challenge metric: 1 for every label right and no other, 0 for sinus rhythm answered to every record.

    Args:
        labels, outputs: bool (record, class), the truth and the answers.
        weights: (class, class), credit for answering class k (column) where class j (row) is true.
        sinus_rhythm: the column of that class.

    Returns:
        The score; 0 where always answering sinus rhythm is already right throughout.
    """
    inactive = np.zeros_like(outputs)
    inactive[:, sinus_rhythm] = True
    observed, correct, idle = (_credit(labels, given, weights) for given in (outputs, labels, inactive))
    return float((observed - idle) / (correct - idle)) if correct != idle else 0.0


def _credit(labels: Bool, outputs: Bool, weights: F64) -> float:
    """Credit summed over records, each shared among all classes that are true or answered."""
    shared_by = np.maximum((labels | outputs).sum(axis=1, keepdims=True), 1)
    counts: npt.NDArray[Any] = (labels / shared_by).T @ outputs.astype(np.float64)
    return float((weights * counts).sum())
