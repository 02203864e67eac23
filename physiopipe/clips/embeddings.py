"""What untuned encoders make of each window: an embedding a patch, averaged over channels, kept by content.

One encoder's embeddings are kept apart from the other's, so that another ECG encoder, or noise in the EEG alone,
costs only what it changes. Every pooling and every fusion is made from these, and, where one asks for it, from an
embedding a channel, averaged over patches.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physiopipe.clips.cache import SubjectCache
from physiopipe.clips.clip_data import F32, ClipData, Modality
from physiopipe.code_digest import code_digest, library_versions
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.fusion import channel_embeddings, patch_embeddings
from physiopipe.models.normalisation import Normalisation, normalised, valid_patch_mask
from physiopipe.models.weights import fetch_weights, load_encoder, read_metadata
from physiopipe.params import Encoder, Weights
from physiopipe.training.threads import in_threads

EMBEDDING_BLOCK = 32  # windows of a forward pass; more only costs memory
_UNTRAINED_SEEDS = {"eeg": 1, "ecg": 2}  # fixed: embeddings of an untrained encoder serve every seed and fold
_OVER = {"patches": patch_embeddings, "channels": channel_embeddings}
Kept = Literal["patches", "channels"]
_INT16_PEAK = 32767
_PRETRAINED_WITH = {"records": "records", "train_windows": "windows", "steps": "steps"}  # of a file's metadata


@dataclass(frozen=True)
class EncoderChoice:
    """Which encoders, and how the EEG is scaled for its own.

    Attributes:
        eeg, ecg: their sizes.
        eeg_weights: of the EEG encoder.
        ecg_weights: file of the pretrained ECG encoder; None for an untrained one.
        eeg_scale_uv: the EEG is divided by this many microvolts.
        shared: whether the ECG encoder embeds the EEG too.
        layer: whose output is the embedding, 0 the patch embedding; None for the last.
        draw: which of the untrained encoders, where there are no weights.
    """

    eeg: Encoder
    ecg: Encoder
    eeg_weights: Weights
    ecg_weights: Path | None
    eeg_scale_uv: float
    shared: bool = False
    layer: int | None = None
    draw: int = 0


class Encoders:
    """The EEG and the ECG encoder as they are before any fine-tuning, and their embeddings."""

    def __init__(self, choice: EncoderChoice, state_folder: Path, device: torch.device) -> None:
        self.choice, self._folder, self._device = choice, state_folder / "embeddings", device
        self._caches: dict[tuple[Modality, Kept], SubjectCache] = {}
        self._loaded: dict[Modality, CrissCrossEncoder] = {}

    def encoder(self, modality: Modality) -> CrissCrossEncoder:
        """The encoder, loaded when first needed: not at all where every result is kept. A shared one is one object."""
        modality = self._owner(modality)
        if modality not in self._loaded:
            path = fetch_weights(self.choice.eeg_weights) if modality == "eeg" else self.choice.ecg_weights
            seed = _UNTRAINED_SEEDS[modality] + len(_UNTRAINED_SEEDS) * self.choice.draw
            self._loaded[modality] = _encoder(path, self.sizes(modality), seed)
        return self._loaded[modality]

    def sizes(self, modality: Modality) -> Encoder:
        return self.choice.ecg if self._owner(modality) == "ecg" else self.choice.eeg

    def untrained(self, modality: Modality) -> bool:
        """Whether a modality's encoder has never learned anything."""
        if self._owner(modality) == "ecg":
            return self.choice.ecg_weights is None
        return self.choice.eeg_weights.origin == "none"

    def described(self, modality: Modality) -> str:
        """What a modality's encoder was pretrained on, and the name and digest of its weights, in words."""
        owner = self._owner(modality)
        shared = " (the ECG encoder)" if owner != modality else ""
        if self.untrained(modality):
            return f"untrained, no weights given{shared}"
        weights, digest = self.choice.eeg_weights, str(self._sha256[owner])[:12]
        if owner == "eeg" and weights.origin == "hub":
            name = f"{weights.repository}/{weights.filename}"
            return f"pretrained on real recordings by the authors of its weights ({name}, sha256 {digest})"
        path = Path(weights.path) if owner == "eeg" else self.choice.ecg_weights
        assert path is not None
        told = read_metadata(path) if path.suffix == ".safetensors" else {}
        size = [f"{int(told[key]):,} {words}" for key, words in _PRETRAINED_WITH.items() if key in told]
        data = ", ".join([f"pretrained on {told['cohort']}", *size]) if "cohort" in told else "pretraining not known"
        return f"{data} ({path.name}, sha256 {digest}){shared}"

    @cached_property
    def ecg_normalisation(self) -> Normalisation:
        """How the ECG encoder's input was scaled while it was pretrained; lead_zscore where its file does not tell.

        Raises:
            PhysiopipeError: it was scaled in a way that is not known here.
        """
        path = self.choice.ecg_weights
        told = read_metadata(path) if path is not None and path.suffix == ".safetensors" else {}
        how = told.get("normalisation", "lead_zscore")
        for known in get_args(Normalisation):
            if how == known:
                return known  # type: ignore[no-any-return]  # one of the names of the type itself
        raise PhysiopipeError(
            f"{path} says that its encoder was pretrained on ECG scaled by {how!r}; known are "
            f"{', '.join(get_args(Normalisation))}. Name another file, or pretrain with one of these."
        )

    def digest(self, modality: Modality) -> dict[str, Any]:
        """What the encoder of a modality is, how its input is scaled and which layer is read, as JSON values."""
        return {
            "sizes": self.sizes(modality).model_dump(mode="json"),
            "sha256": self._sha256[self._owner(modality)],
            "scale_uv": self.choice.eeg_scale_uv if modality == "eeg" else None,
            "normalisation": self.ecg_normalisation if modality == "ecg" else None,
            "layer": self.choice.layer,
            "draw": self.choice.draw if self.untrained(modality) else None,
        }

    @cached_property
    def _sha256(self) -> dict[Modality, str | None]:
        """Digests of the weights; a file of the Hub is the one whose sha256 is expected."""
        weights, ecg = self.choice.eeg_weights, self.choice.ecg_weights
        eeg_sha256 = {"none": None, "hub": weights.sha256}.get(weights.origin)
        if weights.origin == "file" and not self.choice.shared:
            eeg_sha256 = sha256_file(fetch_weights(weights) or Path(weights.path))
        return {"eeg": eeg_sha256, "ecg": None if ecg is None else sha256_file(ecg)}

    def patches(self, clips: ClipData, modality: Modality) -> F32:
        """Embedding of every patch, float32 (w, P, d), 0 where a patch has no signal; dropout is off."""
        found = self._cache(modality, "patches").of(clips)
        return found.reshape(len(found), clips.eeg.shape[2], self.sizes(modality).width)

    def channels(self, clips: ClipData, modality: Modality) -> F32:
        """Embedding of every channel, float32 (w, C, d), 0 where a channel has no signal; dropout is off."""
        found = self._cache(modality, "channels").of(clips)
        return found.reshape(len(found), getattr(clips, modality).shape[1], self.sizes(modality).width)

    def precompute(
        self, clips: ClipData, modalities: tuple[Modality, ...], kinds: tuple[Kept, ...] = ("patches",)
    ) -> None:
        """Embed all of these windows once, so that any choice among them is looked up from then on."""
        for modality in modalities:
            for kind in kinds:
                self._cache(modality, kind).precompute(clips)

    def _owner(self, modality: Modality) -> Modality:
        return "ecg" if self.choice.shared else modality

    def _cache(self, modality: Modality, kind: Kept) -> SubjectCache:
        key = (modality, kind)
        if key not in self._caches:
            recipe: dict[str, Any] = {
                "kind": f"{kind} of {modality}",
                "encoder": self.digest(modality),
                "device": self._device.type,
                "code": code_digest(__name__),
                "libraries": library_versions(["torch"]),
            }
            self._caches[key] = SubjectCache(
                self._folder, recipe, (modality,), lambda clips: self._embed(clips, modality, kind)
            )
        return self._caches[key]

    def _embed(self, clips: ClipData, modality: Modality, kind: Kept) -> F32:
        model = self.encoder(modality).to(self._device).eval()
        if modality == "eeg":
            windows, valid = eeg_input(clips, self.choice.eeg_scale_uv)
        else:
            windows, valid = ecg_input(clips, self.ecg_normalisation)

        def compute(x: Tensor, valid: Tensor) -> Tensor:
            return _OVER[kind](model, x, valid, self.choice.layer)

        with_signal = valid.flatten(1).any(1)  # the others' embeddings are 0: nothing to compute
        rows = valid.shape[2] if kind == "patches" else valid.shape[1]
        found = torch.zeros(len(windows), rows, self.sizes(modality).width)
        if with_signal.any():
            chosen = (windows[with_signal], valid[with_signal])
            found[with_signal] = in_threads(compute, chosen, EMBEDDING_BLOCK, self._device)
        embedded: F32 = found.flatten(1).numpy()
        return embedded


def _encoder(path: Path | None, sizes: Encoder, untrained_seed: int) -> CrissCrossEncoder:
    """The encoder of a weights file, or, without one, an untrained one: always the same draw."""
    if path is not None:
        return load_encoder(path, sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(untrained_seed)
        return CrissCrossEncoder(sizes)


def encoder_inputs(
    clips: ClipData, eeg_scale_uv: float, how: Normalisation = "lead_zscore"
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """EEG over its scale, ECG as its encoder was pretrained on it (`how`), and the valid entries (w, C, P) of both; 0
    where nothing is valid.
    """
    eeg, eeg_valid = eeg_input(clips, eeg_scale_uv)
    ecg, ecg_valid = ecg_input(clips, how)
    return eeg, ecg, eeg_valid, ecg_valid


def eeg_input(clips: ClipData, scale_uv: float) -> tuple[Tensor, Tensor]:
    """EEG (w, C, P, 200) over its scale, and its valid entries."""
    eeg, valid = torch.from_numpy(clips.eeg), _valid(clips.eeg_present, clips)
    return torch.where(valid.unsqueeze(-1), eeg / scale_uv, 0.0), valid


def ecg_input(clips: ClipData, how: Normalisation = "lead_zscore") -> tuple[Tensor, Tensor]:
    """ECG (w, C, P, 200), scaled as in pretraining, and its valid entries.

    Raises:
        PhysiopipeError: the encoder takes millivolt, and the ECG's unit is not known.
    """
    if how == "millivolt" and clips.ecg_unit != "mV":
        raise PhysiopipeError(
            f"The ECG encoder was pretrained on millivolt, and the unit of this cohort's ECG is {clips.ecg_unit}: its "
            "input would be on another scale. Pretrain with pretrain.normalisation lead_zscore or record_zscore."
        )
    ecg, valid = torch.from_numpy(clips.ecg), _valid(clips.ecg_present, clips)
    ecg = torch.where(valid.unsqueeze(-1), ecg, 0.0)  # what is not valid must not set the unit
    unit = ecg.abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / _INT16_PEAK  # of int16, as in pretraining
    return normalised(ecg / unit.view(-1, 1, 1, 1), unit, valid, how), valid


def _valid(present: npt.NDArray[np.bool_], clips: ClipData) -> Tensor:
    return valid_patch_mask(torch.from_numpy(present), torch.from_numpy(clips.valid_patches), clips.eeg.shape[2])
