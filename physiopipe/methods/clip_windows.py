"""The settings of rows that train on whole windows, epoch by epoch: how many windows of a clip they look at."""

from pydantic import Field

from physiopipe.params.section import Count, Section
from physiopipe.training.clip_draws import ClipDraws


class ClipWindowsSettings(Section):
    """Windows of a clip; the published rows take all."""

    epoch_windows_per_clip: Count | None = Field(
        None, description="windows of each training clip that are drawn anew for each epoch; null: all"
    )
    validation_windows_per_clip: Count | None = Field(
        None, description="windows of each validation clip, drawn once, that an epoch is judged by; null: all"
    )

    @property
    def draws(self) -> ClipDraws:
        """The same, as training takes it."""
        return ClipDraws(self.epoch_windows_per_clip, self.validation_windows_per_clip)
