"""What is done to a recording until it is stored windows: one section a cohort and modality in `filter`, `resample` and
`shard`; the defaults lie with the cohort."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from physiopipe.params.section import Count, Positive, Section, Share
from physiopipe.patches import PATCH_SAMPLES


class Filter(Section):
    """Zero-phase band-pass and notch, applied before resampling; or nothing: both corners null and no mains named."""

    highpass_hz: Positive | None = Field(
        description="-3 dB corner of one pass of the Butterworth high-pass, Hz; null, as lowpass_hz: no filter at all"
    )
    lowpass_hz: Positive | None = Field(
        description="-3 dB corner of one pass of the Butterworth low-pass, Hz; null, as highpass_hz: no filter at all"
    )
    order: Count = Field(3, description="order of the Butterworth; forward and backward filtering doubles it")
    notch_hz: dict[str, Positive] = Field(description="mains frequency to remove by source, Hz; `default` for others")
    notch_quality: Positive = Field(30.0, description="quality factor of the notch: its frequency over its width")

    @model_validator(mode="after")
    def _corners_in_order(self) -> "Filter":
        if self.highpass_hz is None or self.lowpass_hz is None:
            if self.highpass_hz is not self.lowpass_hz or self.notch_hz:
                raise ValueError(
                    "no filter at all is highpass_hz: null, lowpass_hz: null and notch_hz: {}; found "
                    f"{self.highpass_hz}, {self.lowpass_hz} and {self.notch_hz}"
                )
        elif self.highpass_hz >= self.lowpass_hz:
            raise ValueError(f"highpass_hz {self.highpass_hz:g} is not below lowpass_hz {self.lowpass_hz:g}")
        return self

    @property
    def corners_hz(self) -> tuple[float, float] | None:
        """High-pass and low-pass, Hz; None where nothing is filtered."""
        if self.highpass_hz is None or self.lowpass_hz is None:
            return None
        return self.highpass_hz, self.lowpass_hz

    def notch_of(self, source: str) -> float | None:
        """Mains frequency of a source in Hz, or None where none is named."""
        return self.notch_hz.get(source, self.notch_hz.get("default"))


class Resample(Section):
    rates_hz: tuple[Count, ...] = Field(min_length=1, description="rates that every recording is resampled to, Hz")

    @model_validator(mode="after")
    def _each_once(self) -> "Resample":
        if len(set(self.rates_hz)) < len(self.rates_hz):
            raise ValueError(f"rates_hz {list(self.rates_hz)} names a rate twice: name each once")
        return self


def _without_secret(url: str) -> str:
    """Refuse an address that holds a name and a password: it would stand in files that others read."""
    _, separator, rest = url.partition("://")
    if separator and "@" in rest.partition("/")[0]:
        raise ValueError(
            "an address may not hold a user or a password: give them in ~/.netrc (or in a file that NETRC names)"
        )
    return url


PublishedAt = Annotated[str, AfterValidator(_without_secret), Field(repr=False)]


class Recordings(Section):
    """What every cohort's section of `data` holds."""

    max_rejected_share: Share = Field(
        0.05, description="of each modality's records that are here: if more (and more than one) are unusable, stop"
    )


class Quality(Section):
    """Limits behind the quality flags of a window; a flag marks, it never drops."""

    flat_peak_to_peak: Positive = Field(0.01, description="a lead whose range stays under this is flat, stored unit")
    amplitude_limit: Positive = Field(10.0, description="an absolute value above this is flagged, stored unit")
    clipping_share: Share = Field(0.02, description="share of samples at a lead's extremes: clipping")
    wander_share: Share = Field(
        0.05, description="baseline under 0.5 Hz that passes the high-pass, as a share of the power above it: wander"
    )
    mains_share: Share = Field(
        0.2, description="power within 1 Hz of the mains, as a share of the raw power above 0.5 Hz: noise"
    )


class Shard(Section):
    """Cutting into windows of patches, and their storage."""

    patches: Count = Field(10, description=f"patches of {PATCH_SAMPLES} samples in a window")
    min_fill: float = Field(0.4, gt=0, le=1, description="a shorter rest of a record than this share is left out")
    max_windows_per_record: Count | None = Field(
        30, description="windows of one record and rate, spread over the record; null: all"
    )
    align: Literal["start", "end"] = Field("start", description="cut from the recording's start, or back from its end")
    quality: Quality = Quality()
