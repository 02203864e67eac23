"""Ablations that read the data otherwise: from which rating on a clip is high, and what it is set against.

Where the paper does not settle a reading, both stand in the table. Rows of another threshold have other labels, so that
they are compared among themselves alone.
"""

from typing import Any

from physiopipe.experiments.ablation import Ablation

_THRESHOLDS = (3, 4)  # of ratings from 1 to 5
_CHANNELS = {"method.ours.pooling": "channels"}
_ALONG = {"method.ours.frozen": False}
_WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "": ("Ours", {}),
    "_pooling_channels": ("averaged over channels alone", _CHANNELS),
    "_trained_along": ("encoders trained along", _ALONG),
    "_trained_along_pooling_channels": ("trained along, averaged over channels alone", _ALONG | _CHANNELS),
}


def _at_threshold(number: int) -> dict[str, Ablation]:
    """Ours and the handcrafted row at a threshold, both poolings, frozen and trained along."""
    first, claim = f"high_from_{number}", f"high from {number}"
    note = f"High is a rating of {number} or more."
    rows = {
        f"{first}{end}": Ablation(
            f"High from {number}: {words}", claim, changes, clips={"high_from": number}, note=note,
            versus=first if end else "ours",
        )
        for end, (words, changes) in _WAYS.items()
    }  # fmt: skip
    rows[f"{first}_handcrafted"] = Ablation(
        f"High from {number}: handcrafted", claim, method="handcrafted", clips={"high_from": number}, note=note,
        versus=first,
    )  # fmt: skip
    return rows


def _baseline(use: str, words: str) -> Ablation:
    return Ablation(words, "baseline", clips={"baseline": use})


READINGS: dict[str, Ablation] = {
    "trained_along_pooling_channels": Ablation(
        "Encoders trained along, averaged over channels alone", "readings", _ALONG | _CHANNELS, versus="trained_along"
    ),
    "baseline_subtracted": _baseline("subtract_features", "Less the embedding at rest before the clip"),
    "baseline_zscored": _baseline("zscore_by_person", "On the scale of the person's own rest"),
    **{name: row for number in _THRESHOLDS for name, row in _at_threshold(number).items()},
}
