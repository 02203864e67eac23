"""Who is on which side: folds of subjects, for cross-validation and for the split of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError

GROUPS = 5


@dataclass(frozen=True)
class Fold:
    """Subjects of the three sides of one split; no subject is on two."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        side_of: dict[str, str] = {}
        for side in ("train", "validation", "test"):
            for subject in getattr(self, side):
                other = side_of.setdefault(subject, side)
                if other != side:
                    raise PhysiopipeError(
                        f"subject {subject} is on two sides of a split, {other} and {side}: what is learned of a "
                        "subject would be tested on the same. Give every subject one name and one side."
                    )


def subject_split(
    subjects: Sequence[str],
    protocol: Literal["paper", "crossval", "published"],
    seed: int,
    published: tuple[int, int, int] | None = None,
) -> list[Fold]:
    """Folds of subjects.

    `paper`: one fold, int(.6 n) / int(.2 n) / rest of a permutation by `seed` (13 / 4 / 6 of 23).
    `crossval`: five groups (5, 5, 5, 4, 4 of 23) drawn anew by each `seed`, so that the luck of the split shows between
    seeds; fold g tests group g, validates on group g + 1 and trains on the others.
    `published`: one fold, the same for every seed: the first `published[0]` subjects by name train, the next
    `published[1]` validate and the last `published[2]` test.
    """
    if protocol == "published":
        return [_published_fold(sorted(set(subjects)), published)]
    names = sorted(set(subjects))
    if len(names) < GROUPS:
        raise PhysiopipeError(f"{len(names)} subjects: a split by subject needs at least {GROUPS}.")
    if protocol == "paper":
        shuffled = [names[i] for i in np.random.default_rng([seed, len(names)]).permutation(len(names))]
        first, second = int(0.6 * len(names)), int(0.2 * len(names))
        sides = shuffled[:first], shuffled[first : first + second], shuffled[first + second :]
        return [Fold(*(tuple(sorted(side)) for side in sides))]
    drawn = [names[i] for i in np.random.default_rng([seed, len(names), 5]).permutation(len(names))]
    groups = [tuple(sorted(drawn[g::GROUPS])) for g in range(GROUPS)]
    folds = []
    for g, test in enumerate(groups):
        validation = groups[(g + 1) % GROUPS]
        train = tuple(name for name in names if name not in test and name not in validation)
        folds.append(Fold(train, validation, test))
    return folds


def _published_fold(names: list[str], sizes: tuple[int, int, int] | None) -> Fold:
    if sizes is None:
        raise PhysiopipeError("Nobody published a split of this cohort: set evaluate.protocol to paper or crossval.")
    if sum(sizes) != len(names):
        raise PhysiopipeError(
            f"The published split is of {sum(sizes)} subjects ({' / '.join(map(str, sizes))}), found {len(names)}: "
            "bring the others, or set evaluate.protocol to crossval."
        )
    first, second = sizes[0], sizes[0] + sizes[1]
    return Fold(tuple(names[:first]), tuple(names[first:second]), tuple(names[second:]))


def fewer_training_subjects(fold: Fold, share: float, seed: int) -> Fold:
    """The fold with a share of its training subjects, at least one, drawn by `seed`; a smaller share is part of a
    larger one. Validation and test subjects stay.
    """
    if share >= 1:
        return fold
    order = np.random.default_rng([seed, len(fold.train), 3]).permutation(len(fold.train))
    kept = order[: max(1, round(share * len(fold.train)))]
    return Fold(tuple(fold.train[i] for i in sorted(kept.tolist())), fold.validation, fold.test)


def shuffled_windows(windows: int, seed: int) -> npt.NDArray[np.int64]:
    """LEAKY, to show what leakage would claim and for nothing else: the group (0 to 4) of each window, whoever's it is.

    Windows of one clip come to lie on every side of a split.
    """
    return np.random.default_rng([seed, windows, 4]).permutation(windows) % GROUPS
