"""What simulated cohorts share in their sections of params.yaml: how much of an effect is hidden, and where."""

from typing import Any

from pydantic import Field


def hidden_share() -> Any:
    """The field `hidden_share`: see `planted_signals.Hidden`."""
    return Field(
        0.5,
        ge=0,
        le=1,
        description="share of effect_d squared that neither band power nor mean heart rate nor wave amplitudes show: "
        "asymmetry, coupling, change within the clip; 0: nothing hidden",
    )


def change_s(cohort: str) -> Any:
    """The field `change_s` of a cohort, which `params.consistency` holds to its `last_s`."""
    return Field(
        60.0,
        gt=0,
        description=f"the hidden change is in the middle of a clip's last so many seconds: as clips.{cohort}.last_s",
    )
