"""How recordings become an ECG encoder's input, in its file's metadata: pretraining writes it, `embed` reads it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from pydantic import ValidationError

from physiopipe.errors import PhysiopipeError
from physiopipe.models.normalisation import Normalisation
from physiopipe.params import Encoder, Filter, Shard

_NUMBER = r"[0-9.e+-]+"
_WORDS = re.compile(
    rf"({_NUMBER})-({_NUMBER}) Hz, Butterworth of order ([0-9]+), zero phase; notch \(quality ({_NUMBER})\): (.*)"
)
_NOTCH = re.compile(rf"(\S+) ({_NUMBER}) Hz")
_USUAL_RATE_HZ = 200  # at which a patch lasts a second, as in CBraMod's training


@dataclass(frozen=True)
class EncoderInput:
    """What an encoder was trained on.

    Attributes:
        sizes: of the encoder.
        channels: rows of its windows, in order.
        unit: of the windows before they are normalised.
        rates_hz: sampling rates of its windows.
        normalisation: see `physiopipe.models.normalisation`.
        filter: applied at a recording's own rate.
        shard: patches of a window, the rest of a recording that is kept, and limits of the quality flags.
    """

    sizes: Encoder
    channels: tuple[str, ...]
    unit: str
    rates_hz: tuple[int, ...]
    normalisation: Normalisation
    filter: Filter
    shard: Shard

    @property
    def usual_rate_hz(self) -> int:
        """200 Hz where it was trained at that rate, else the rate nearest to it."""
        return min(self.rates_hz, key=lambda rate: abs(rate - _USUAL_RATE_HZ))


def preparation_text(band: Filter, shard: Shard) -> dict[str, str]:
    """Entries of an encoder's metadata: the filter in words, and filter and windows as JSON."""
    content = {"filter": band.model_dump(mode="json"), "shard": shard.model_dump(mode="json")}
    return {"filter": filter_in_words(band), "preparation": json.dumps(content, sort_keys=True)}


def filter_in_words(band: Filter) -> str:
    """A filter in one sentence."""
    if band.corners_hz is None:
        return "none"
    notches = ", ".join(f"{source} {hz:g} Hz" for source, hz in band.notch_hz.items())
    return (
        f"{band.highpass_hz:g}-{band.lowpass_hz:g} Hz, Butterworth of order {band.order}, zero phase; "
        f"notch (quality {band.notch_quality:g}): {notches}"
    )


def encoder_input(metadata: Mapping[str, str], path: Path) -> EncoderInput:
    """What an encoder's metadata says of its input.

    A file of an earlier version has the filter in words alone; its windows are taken to be of the default form.

    Raises:
        PhysiopipeError: `path` is no encoder that `physiopipe pretrain` wrote.
    """
    wanted = ("encoder", "channels", "unit", "rates_hz", "normalisation", "filter")
    if absent := [name for name in wanted if name not in metadata]:
        raise PhysiopipeError(
            f"{path} does not say {', '.join(absent)} in its metadata: expected an ECG encoder that `physiopipe "
            "pretrain` wrote (models/ecg_encoder.safetensors), or that `physiopipe export` wrote from one."
        )
    try:
        if "preparation" in metadata:
            content = json.loads(metadata["preparation"])
            band, shard = Filter.model_validate(content["filter"]), Shard.model_validate(content["shard"])
        else:
            band, shard = _filter_of(metadata["filter"]), Shard()
        found = EncoderInput(
            sizes=Encoder.model_validate_json(metadata["encoder"]),
            channels=tuple(metadata["channels"].split()),
            unit=metadata["unit"],
            rates_hz=tuple(int(float(rate)) for rate in metadata["rates_hz"].split()),
            normalisation=cast("Normalisation", metadata["normalisation"]),
            filter=band,
            shard=shard,
        )
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise PhysiopipeError(
            f"{path} has metadata that cannot be read ({str(error).splitlines()[0][:120]}): take the file that "
            "`physiopipe pretrain` wrote."
        ) from None
    if found.normalisation not in get_args(Normalisation) or not found.rates_hz or min(found.rates_hz) < 1:
        raise PhysiopipeError(
            f"{path}: normalisation {found.normalisation!r} at {metadata['rates_hz']!r} Hz is not known here: expected "
            f"one of {', '.join(get_args(Normalisation))} and rates of 1 Hz and above."
        )
    return found


def _filter_of(words: str) -> Filter:
    """The filter that `filter_in_words` describes."""
    found = _WORDS.fullmatch(words)
    notches = [_NOTCH.fullmatch(each) for each in found[5].split(", ")] if found else []
    if found is None or not all(notches):
        raise ValueError(f"filter {words[:80]!r}")
    return Filter(
        highpass_hz=float(found[1]),
        lowpass_hz=float(found[2]),
        order=int(found[3]),
        notch_quality=float(found[4]),
        notch_hz={each[1]: float(each[2]) for each in notches if each},
    )
