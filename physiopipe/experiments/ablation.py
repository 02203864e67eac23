"""What an ablation is."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Ablation:
    """One row: what is changed, in words and in parameters, and what it is compared with.

    Attributes:
        title: how the table calls it.
        claim: the group of rows it belongs to.
        changes: values by dotted key of the parameters.
        clips: values of the cohort's own clip rule; a cohort whose rule has no such key has no such row.
        method: the row's, whose section `changes` may name.
        ecg_encoder: the study's own, none (an untrained one), or one pretrained for this row.
        versus: the row it differs from in one thing: `ours` or another ablation; empty: it is compared with none.
        like: methods whose settings the row's method takes over where it has them, before `changes`.
        one_rate: whether pretraining sees 200 Hz alone, for as many steps as with every rate.
        leaky: whether windows are shuffled over the split.
        note: what a reader must know of the row; empty: nothing.
    """

    title: str
    claim: str
    changes: dict[str, Any] = field(default_factory=dict)
    method: str = "ours"
    ecg_encoder: Literal["study", "none", "own"] = "study"
    versus: str = "ours"
    one_rate: bool = False
    leaky: bool = False
    note: str = ""
    clips: dict[str, Any] = field(default_factory=dict)
    like: tuple[str, ...] = ()
