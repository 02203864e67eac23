"""What a cohort's clip rule says is done to the signals of clips."""

from typing import TYPE_CHECKING

from physiopipe.clips.artefacts import without_artefacts
from physiopipe.clips.clip_data import ClipData
from physiopipe.clips.limb_leads import with_limb_leads

if TYPE_CHECKING:
    from physiopipe.cohorts.base import ClipRule


def by_rule(clips: ClipData, rule: "ClipRule") -> ClipData:
    """The clips, their baselines apart, with artefacts held or masked, and the ECG's leads as the rule has them."""
    clips, _ = without_artefacts(clips, rule.artefacts)
    return with_limb_leads(clips) if rule.ecg_leads == "limb" else clips
