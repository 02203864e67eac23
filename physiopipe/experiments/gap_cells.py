"""Every way from Ours to the handcrafted row: the cells of a factorial design, as ablations of `mixed_features`.

Four things tell the two rows apart. A cell has each of them as in Ours or as in the handcrafted row; all cells together
share the gap out among the four (`physiopipe.results.gap`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from physiopipe.experiments.ablation import Ablation

CLAIM = "gap to handcrafted"


@dataclass(frozen=True)
class Factor:
    """One thing that differs: `name`, a setting of `mixed_features`; `title`; its value and words in either row."""

    name: str
    title: str
    in_ours: str
    in_handcrafted: str
    ours_words: str
    handcrafted_words: str


FACTORS = (
    Factor("eeg", "EEG: band power in place of the embedding", "embedding", "features", "embedding", "band power"),
    Factor("ecg", "ECG: beat features in place of the embedding", "embedding", "features", "embedding", "beats"),
    Factor("classifier", "Logistic regression in place of the network", "network", "regression", "network", "logistic"),
    Factor("unit", "Means of clips in place of windows", "window", "clip", "windows", "clips"),
)


def cell_name(changed: frozenset[str]) -> str:
    """The ablation in which the factors of these names are as in the handcrafted row, the others as in Ours."""
    return "gap_" + "_".join(each.in_handcrafted if each.name in changed else each.in_ours for each in FACTORS)


def _cell(changed: frozenset[str]) -> Ablation:
    words = [each.handcrafted_words if each.name in changed else each.ours_words for each in FACTORS]
    settings = {each.name: each.in_handcrafted if each.name in changed else each.in_ours for each in FACTORS}
    return Ablation(
        "EEG {}, ECG {}, {}, on {}".format(*words),
        CLAIM,
        {f"method.mixed_features.{name}": value for name, value in settings.items()},
        method="mixed_features",
        versus="",
        like=("ours", "handcrafted"),
    )


CELLS: Mapping[frozenset[str], str] = {
    changed: cell_name(changed)
    for levels in product((False, True), repeat=len(FACTORS))
    for changed in [frozenset(each.name for each, moved in zip(FACTORS, levels, strict=True) if moved)]
}
GAP_CELLS: dict[str, Ablation] = {name: _cell(changed) for changed, name in CELLS.items()}
