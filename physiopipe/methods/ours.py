"""The paper's method: EEG encoder and ECG encoder, embeddings averaged and concatenated, a head a label."""

import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.methods.base import F32, F64, LABELS, ClipData, Method, Setup
from physiopipe.methods.embedding_cache import cached_by_subject
from physiopipe.methods.sources import digest_of_sources, library_versions
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.fusion import Fusion, LabelHeads, TwoEncoders, in_blocks, valid_entries
from physiopipe.models.normalisation import normalised
from physiopipe.models.weights import fetch_weights, load_encoder
from physiopipe.params import Encoder
from physiopipe.training.curve import CurvePoint
from physiopipe.training.finetune import LabelledWindows, probabilities
from physiopipe.training.finetune import train as train_model

EMBEDDING_BLOCK = 32  # windows of a forward pass; more only costs memory
_UNTRAINED_SEEDS = {"EEG": 1, "ECG": 2}  # fixed: embeddings of an untrained encoder serve every seed and fold
_EMBEDDING_SOURCES = (
    "methods/ours.py",
    "models/dropout.py",
    "models/encoder.py",
    "models/fusion.py",
    "models/normalisation.py",
    "models/weights.py",
)
_INT16_PEAK = 32767


class Ours(Method):
    """Fusion by concatenation (paper section 2.2), trained by Table 2; encoders frozen or trained along."""

    name = "ours"
    inputs = ("eeg", "ecg")
    sources = (*_EMBEDDING_SOURCES, "training/finetune.py")
    libraries = ("numpy", "torch")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._params = setup.params.finetune
        self._device = _device(setup.params.run.device)
        self._curve: list[CurvePoint] = []
        if setup.params.run.threads:
            torch.set_num_threads(setup.params.run.threads)
        if setup.ecg_encoder is not None and not setup.ecg_encoder.exists():
            raise PhysiopipeError(
                f"{setup.ecg_encoder} is missing: `ours` needs the pretrained ECG encoder. "
                "Run `physiopipe pretrain` first (`dvc repro` does)."
            )

    @property
    def provenance(self) -> str:
        untrained = [
            f"{modality} encoder untrained"
            for modality, missing in (
                ("EEG", self._params.eeg_weights.origin == "none"),
                ("ECG", self.setup.ecg_encoder is None),
            )
            if missing
        ]
        return f"reimplementation ({', '.join(untrained)})" if untrained else "reimplementation"

    def fingerprint(self) -> dict[str, Any]:
        return {
            "finetune": self._params.model_dump(mode="json", exclude={"eeg_weights", "eeg_encoder"}),
            "encoders": self._encoder_digests,
            "device": self._device.type,
        }

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        windows, held_out = self._labelled(train), self._labelled(validation)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            heads = LabelHeads(self._width(train), self._params.hidden, self._params.dropout, len(LABELS))
        if self._params.standardise:
            heads.scale_by(windows.inputs[0] if self._params.frozen else torch.from_numpy(self._embeddings(train)))
        self._model: torch.nn.Module = heads
        if not self._params.frozen:
            self._model = Fusion(copy.deepcopy(self._encoders), heads)
        self._curve = train_model(self._model, windows, held_out, self._params, seed, self._device)
        return self

    def predict(self, test: ClipData) -> F64:
        return test.clip_means(probabilities(self._model, self._inputs(test), self._device))

    def curve(self) -> list[CurvePoint]:
        return self._curve

    def _labelled(self, clips: ClipData) -> LabelledWindows:
        labels = torch.from_numpy(clips.labels[clips.clip_of].astype(np.float32))
        return LabelledWindows(self._inputs(clips), labels, clips.clip_of)

    def _inputs(self, clips: ClipData) -> tuple[Tensor, ...]:
        """What the model is called with: cached embeddings where the encoders are frozen, else windows."""
        if self._params.frozen:
            return (torch.from_numpy(self._embeddings(clips)),)
        return encoder_inputs(clips, self._params.eeg_scale_uv)

    def _embeddings(self, clips: ClipData) -> F32:
        """Fused embedding of every window, float32 (w, 2d), by the encoders as they were before fine-tuning."""
        recipe = {
            "kind": "fused embedding",
            "encoders": self._encoder_digests,
            "eeg_scale_uv": self._params.eeg_scale_uv,
            "pooling": self._params.pooling,
            "device": self._device.type,
            "code": digest_of_sources(_EMBEDDING_SOURCES),
            "libraries": library_versions(["torch"]),
        }
        return cached_by_subject(clips, self.setup.state_folder / "embeddings", recipe, self._embed)

    def _width(self, clips: ClipData) -> int:
        """Width of the fused embedding of these clips' windows."""
        patches = 1 if self._params.pooling == "channels_and_patches" else clips.eeg.shape[2]
        return patches * (self._params.eeg_encoder.width + self.setup.params.pretrain.encoder.width)

    def _embed(self, clips: ClipData) -> F32:
        model = self._encoders.to(self._device).eval()
        inputs = encoder_inputs(clips, self._params.eeg_scale_uv)
        found: F32 = in_blocks(model, inputs, EMBEDDING_BLOCK, self._device).numpy()
        return found

    @cached_property
    def _encoders(self) -> TwoEncoders:
        """Both encoders with their weights, loaded when first needed: not at all where every result is kept."""
        eeg_path = fetch_weights(self._params.eeg_weights)
        eeg = _encoder(eeg_path, self._params.eeg_encoder, _UNTRAINED_SEEDS["EEG"])
        ecg = _encoder(self.setup.ecg_encoder, self.setup.params.pretrain.encoder, _UNTRAINED_SEEDS["ECG"])
        return TwoEncoders(eeg, ecg, self._params.pooling)

    @cached_property
    def _encoder_digests(self) -> dict[str, Any]:
        """What the untuned encoders are, as JSON values; a file of the Hub is the one whose sha256 is expected."""
        weights, ecg = self._params.eeg_weights, self.setup.ecg_encoder
        eeg_sha256 = {"none": None, "hub": weights.sha256}.get(weights.origin)
        if weights.origin == "file":
            eeg_sha256 = sha256_file(fetch_weights(weights) or Path(weights.path))
        return {
            "eeg_sizes": self._params.eeg_encoder.model_dump(mode="json"),
            "eeg_sha256": eeg_sha256,
            "ecg_sizes": self.setup.params.pretrain.encoder.model_dump(mode="json"),
            "ecg_sha256": None if ecg is None else sha256_file(ecg),
        }


def _encoder(path: Path | None, sizes: Encoder, untrained_seed: int) -> CrissCrossEncoder:
    """The encoder of a weights file, or, without one, an untrained one: always the same draw."""
    if path is not None:
        return load_encoder(path, sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(untrained_seed)
        return CrissCrossEncoder(sizes)


def encoder_inputs(clips: ClipData, eeg_scale_uv: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """EEG over its scale, ECG z-scored per lead, and the valid entries (w, C, P) of both; 0 where nothing is valid."""
    eeg, ecg = torch.from_numpy(clips.eeg), torch.from_numpy(clips.ecg)
    valid_patches = torch.from_numpy(clips.valid_patches)
    eeg_valid = valid_entries(torch.from_numpy(clips.eeg_present), valid_patches, eeg.shape[2])
    ecg_valid = valid_entries(torch.from_numpy(clips.ecg_present), valid_patches, ecg.shape[2])
    ecg = torch.where(ecg_valid.unsqueeze(-1), ecg, 0.0)  # what is not valid must not set the unit
    unit = ecg.abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / _INT16_PEAK  # of int16, as in pretraining
    scaled = torch.where(eeg_valid.unsqueeze(-1), eeg / eeg_scale_uv, 0.0)
    return scaled, normalised(ecg / unit.view(-1, 1, 1, 1), unit, ecg_valid, "lead_zscore"), eeg_valid, ecg_valid


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise PhysiopipeError("run.device is cuda, but torch finds no GPU here: set it to auto or cpu.")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
