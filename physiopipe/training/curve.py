"""One point of a training curve (figure 3)."""

from typing import Literal, NamedTuple


class CurvePoint(NamedTuple):
    """Loss (per window, summed over labels) and mean AUC of clips (NaN where no label has both classes)."""

    epoch: int  # 1-based
    split: Literal["train", "validation"]
    loss: float
    auc: float
