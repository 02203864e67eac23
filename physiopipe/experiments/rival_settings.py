"""Ablations of rivals: a choice their papers leave open, or one that their authors' code and paper answer differently.

Each is compared with the rival's published setting, named as a row of its own that is compared with nothing: Table 1
compares rows with each other.
"""

from typing import Any

from physiopipe.experiments.ablation import Ablation

CLAIM = "rivals' settings"


def _rival(title: str, method: str, versus: str = "", **changes: Any) -> Ablation:
    named = {f"method.{method}.{key}": value for key, value in changes.items()}
    return Ablation(title, CLAIM, named, method=method, versus=versus)


RIVAL_SETTINGS: dict[str, Ablation] = {
    "tfc_over_sequence": _rival("TF-C, attention over a series", "tfc", attention_over="sequence"),
    "tfc_over_batch": _rival(
        "TF-C, attention over the batch, as its authors' code", "tfc", "tfc_over_sequence", attention_over="batch"
    ),
    "simmtm_clean_target": _rival("SimMTM, the clean series rebuilt, as its paper", "simmtm", target="clean"),
    "simmtm_masked_target": _rival(
        "SimMTM, the masked series rebuilt, as its authors' code", "simmtm", "simmtm_clean_target", target="masked"
    ),
    "lin_style_half": _rival("Lin-style (stand-in), half of the channels", "lin_style", ratio=0.5),
    "lin_style_fifth": _rival("Lin-style (stand-in), a fifth of them", "lin_style", "lin_style_half", ratio=0.2),
    "lin_style_all": _rival("Lin-style (stand-in), all of them", "lin_style", "lin_style_half", ratio=1.0),
}
