"""A pretrained ECG encoder with what it knows of its input: recordings to windows, windows to features."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.models import weights
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.fusion import embed
from physiopipe.models.normalisation import normalised, valid_patch_mask
from physiopipe.params import Filter, Run
from physiopipe.recordings.recording import LongRecording, Recording
from physiopipe.training.device import choose_device
from physiopipe.training.threads import in_threads
from physiopipe.windows.encoder_input import EncoderInput, encoder_input
from physiopipe.windows.in_memory import PreparedWindows, joined, window_blocks

_BLOCK = 32  # windows of a forward pass; more only costs memory


@dataclass(frozen=True)
class EcgEncoder:
    """An encoder and how its input is made.

    Attributes:
        path: its file;  metadata: text in it.
        input: what it was trained on.
        model: the network, in evaluation mode.
    """

    path: Path
    metadata: Mapping[str, str]
    input: EncoderInput
    model: CrissCrossEncoder

    @property
    def simulated(self) -> bool:
        """Whether it was pretrained on simulated recordings."""
        return "simulated" in self.metadata.get("cohort", "").lower()

    @cached_property
    def sha256(self) -> str:
        return sha256_file(self.path)

    def rate(self, rate_hz: int | None) -> int:
        """A rate that it was trained at; None: the usual one.

        Raises:
            PhysiopipeError: it was not trained at that rate.
        """
        if rate_hz is not None and rate_hz not in self.input.rates_hz:
            known = ", ".join(f"{rate} Hz" for rate in self.input.rates_hz)
            raise PhysiopipeError(f"{self.path} was not trained at {rate_hz} Hz: expected one of {known}.")
        return rate_hz or self.input.usual_rate_hz

    def blocks(
        self, recording: Recording | LongRecording, rate_hz: int | None = None, mains_hz: float | None = None
    ) -> Iterator[PreparedWindows]:
        """Windows of a recording, filtered, resampled and cut as for training; a long one comes in several blocks."""
        shard = self.input.shard.model_copy(update={"max_windows_per_record": None, "align": "start"})
        return window_blocks(recording, "ecg", with_mains(self.input.filter, mains_hz), self.rate(rate_hz), shard)

    def features(self, windows: PreparedWindows) -> npt.NDArray[np.float32]:
        """Embedding of each window, float32 (w, width): features of its last layer, averaged over leads and patches
        with signal; 0 where there is none. The reconstruction layer is left out.
        """
        counts, scale = torch.from_numpy(windows.counts), torch.from_numpy(windows.scale)
        valid = valid_patch_mask(
            torch.from_numpy(windows.present), torch.from_numpy(windows.valid_patches), windows.counts.shape[2]
        )
        inputs = normalised(counts, scale, valid, self.input.normalisation)

        def compute(x: Tensor, inside: Tensor) -> Tensor:
            return embed(self.model, x, inside, "channels_and_patches")

        found = torch.zeros(len(windows), self.input.sizes.width)
        some = valid.flatten(1).any(1)
        if some.any():
            found[some] = in_threads(compute, (inputs[some], valid[some]), _BLOCK, choose_device(Run()))
        features: npt.NDArray[np.float32] = found.numpy()
        return features


def load_encoder(path: str | Path) -> EcgEncoder:
    """An ECG encoder that `physiopipe pretrain` or `physiopipe export` wrote (.safetensors).

    Raises:
        PhysiopipeError: missing, no safetensors file, or without what pretraining says of its input.
    """
    path = Path(path)
    if path.is_dir() and (path / "model.safetensors").is_file():  # the folder that `physiopipe export` writes
        path = path / "model.safetensors"
    if not path.is_file():
        raise PhysiopipeError(
            f"{path} is missing: expected an ECG encoder there. `dvc repro pretrain` writes "
            "models/ecg_encoder.safetensors."
        )
    metadata = weights.read_metadata(path)
    about = encoder_input(metadata, path)
    model = weights.load_encoder(path, about.sizes).to(choose_device(Run())).eval()
    return EcgEncoder(path, metadata, about, model)


def windows_of(
    recording: Recording | LongRecording,
    encoder: EcgEncoder,
    rate_hz: int | None = None,
    mains_hz: float | None = None,
) -> PreparedWindows:
    """All windows of a recording, as the encoder's own training made them.

    Args:
        rate_hz: one of the rates that it was trained at; None: 200 Hz, or the nearest one.
        mains_hz: mains frequency to remove; None: the encoder's default (50 Hz, where nothing else was said).

    Raises:
        RejectedRecord: the recording cannot be filtered, or fills no window.
        PhysiopipeError: a rate that the encoder was not trained at.
    """
    return joined(list(encoder.blocks(recording, rate_hz, mains_hz)))


def with_mains(band: Filter, mains_hz: float | None) -> Filter:
    """The filter with another mains frequency; None: as it is."""
    return band if mains_hz is None else band.model_copy(update={"notch_hz": {"default": mains_hz}})
