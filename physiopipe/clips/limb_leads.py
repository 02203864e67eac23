"""The ECG of clips as the six limb leads, derived from two of I, II and III."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from physiopipe.clips.clip_data import F32, ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.signals.leads import CLINICAL_LEADS, FROM_I_AND_II

LIMB_LEADS = CLINICAL_LEADS[:6]  # I, II, III, aVR, aVL, aVF


def with_limb_leads(clips: ClipData) -> ClipData:
    """The clips with an ECG of LIMB_LEADS, rows 1 to 6 of the twelve that ECG encoders are pretrained on.

    Rows V1 to V6 are left out: an encoder takes any number of leads. A lead is absent, exactly 0, where one that it is
    derived from is.

    Raises:
        PhysiopipeError: fewer than two of I, II and III are recorded.
    """
    weights = limb_lead_weights(clips.ecg_channels)
    needed = weights != 0  # (6, C)
    present = (clips.ecg_present[:, None, :] | ~needed).all(axis=2)
    derived = np.einsum("lc,wcps->wlps", weights, clips.ecg).astype(np.float32)
    derived[~present] = 0
    return replace(clips, ecg=derived, ecg_present=present, ecg_channels=LIMB_LEADS)


def limb_lead_weights(channels: Sequence[str]) -> F32:
    """Weights of a recording's rows that give LIMB_LEADS: float32 (6, channels).

    Two of I, II and III determine the others (Einthoven: I = II − III, II = I + III); a recorded lead is itself.

    Raises:
        PhysiopipeError: fewer than two of them are among the channels.
    """
    row = {name: np.eye(len(channels), dtype=np.float32)[place] for place, name in enumerate(channels)}
    if len({"I", "II", "III"} & set(row)) < 2:
        raise PhysiopipeError(
            f"Limb leads follow from two of I, II and III; the ECG's channels are {', '.join(channels) or 'none'}."
        )
    if "I" not in row:
        row["I"] = row["II"] - row["III"]
    if "II" not in row:
        row["II"] = row["I"] + row["III"]
    for lead, (of_one, of_two) in FROM_I_AND_II.items():
        row.setdefault(lead, (of_one * row["I"] + of_two * row["II"]).astype(np.float32))
    return np.stack([row[lead] for lead in LIMB_LEADS])
