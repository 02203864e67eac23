"""`clips`: what is done to clips, once their windows are read, before methods are given them."""

from typing import Literal

from pydantic import Field, model_validator

from physiopipe.params.section import Positive, Section

BaselineUse = Literal["none", "subtract_features", "zscore_by_person"]
EcgLeads = Literal["recorded", "limb"]


class Artefacts(Section):
    """What becomes of samples beyond a limit, in the windows that are fitted and tested."""

    action: Literal["none", "clip", "mask"] = Field(
        "none",
        description="clip: hold such samples at the limit; mask: a channel with one counts as absent in that window",
    )
    eeg_limit_uv: Positive | None = Field(None, description="largest absolute EEG, microvolt; null: no limit")
    ecg_limit: Positive | None = Field(
        None, description="largest absolute ECG, mV, or the file's own unit where that is not known; null: no limit"
    )

    @model_validator(mode="after")
    def _limited(self) -> "Artefacts":
        limits = (self.eeg_limit_uv, self.ecg_limit)
        if self.action != "none" and limits == (None, None):
            raise ValueError(f"action {self.action} has no limit: give eeg_limit_uv or ecg_limit")
        if self.action == "none" and limits != (None, None):
            raise ValueError("a limit without an action: set action to clip or mask, or the limits to null")
        return self
