"""The paper's method: EEG encoder and ECG encoder, embeddings averaged and concatenated, a head a label.

Other fusions, and one modality alone, are subclasses that change the heads, or the modalities, and nothing else.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from physiopipe.clips.clip_data import F32, F64, LABELS, ClipData, Modality
from physiopipe.clips.embeddings import EMBEDDING_SOURCES, Encoders, encoder_inputs
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Method, Setup
from physiopipe.models.fusion import Fusion, LabelHeads, Output, Scaled, TwoEncoders, pooled
from physiopipe.params import MethodName
from physiopipe.training.curve import CurvePoint
from physiopipe.training.finetune import LabelledWindows, probabilities
from physiopipe.training.finetune import train as train_model
from physiopipe.training.group import choose_device
from physiopipe.training.threads import one_thread

FUSION_SOURCES = ("methods/ours.py", *EMBEDDING_SOURCES, "training/finetune.py")
FITS_A_PROCESS = 8  # frozen fits of a few seconds each, which are worth the seconds that another process takes to start


class Ours(Method):
    """Fusion by concatenation (paper section 2.2), trained by Table 2; encoders frozen or trained along."""

    name: ClassVar[MethodName] = "ours"
    inputs: ClassVar[tuple[str, ...]] = ("eeg", "ecg")
    modalities: ClassVar[tuple[Modality, ...]] = ("eeg", "ecg")
    sources: ClassVar[tuple[str, ...]] = FUSION_SOURCES
    libraries = ("numpy", "torch")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._params = setup.params.finetune
        self._device = choose_device(setup.params.run)
        self._encoders = Encoders(setup, self._device)
        self._curve: list[CurvePoint] = []
        if setup.params.run.threads:
            torch.set_num_threads(setup.params.run.threads)
        if setup.ecg_encoder is not None and not setup.ecg_encoder.exists():
            raise PhysiopipeError(
                f"{setup.ecg_encoder} is missing: `{self.name}` needs the pretrained ECG encoder. "
                "Run `physiopipe pretrain` first (`dvc repro` does)."
            )

    @property
    def provenance(self) -> str:
        notes = [f"{each.upper()} encoder untrained" for each in self.modalities if self._encoders.untrained(each)]
        if self._params.shared_encoder:
            notes.append("one encoder for both modalities")
        return f"reimplementation ({', '.join(notes)})" if notes else "reimplementation"

    def fingerprint(self) -> dict[str, Any]:
        left_out = {"eeg_weights", "eeg_encoder", "train_share"}  # in the encoders' digests, and in the sides of a fold
        return {
            "finetune": self._params.model_dump(mode="json", exclude=left_out),
            "encoders": {each: self._encoders.digest(each) for each in self.modalities},
            "device": self._device.type,
        }

    def precompute(self, clips: ClipData) -> None:
        if self._params.frozen:
            self._encoders.precompute(clips, self.modalities)

    def workers(self, runs: int, cores: int) -> int:
        if self._params.frozen:
            return min(cores, runs // FITS_A_PROCESS)
        return min(torch.cuda.device_count(), runs) if self._device.type == "cuda" else 1

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        windows, held_out = self._labelled(train), self._labelled(validation)
        with self._threads():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                heads = self._heads(self._widths(train))
            if self._params.standardise:
                heads.scale_by(windows.inputs[0] if self._params.frozen else torch.from_numpy(self._embeddings(train)))
            self._model: torch.nn.Module = heads
            if not self._params.frozen:
                self._model = Fusion(copy.deepcopy(self._two_encoders()), heads)
            self._curve = train_model(self._model, windows, held_out, self._params, seed, self._device)
        return self

    def predict(self, test: ClipData) -> F64:
        inputs = self._inputs(test)
        with self._threads():
            return test.clip_means(probabilities(self._model, inputs, self._device))

    def _threads(self) -> AbstractContextManager[int | None]:
        """One thread for what is small: heads on embeddings are as fast so, and the same bytes in any process."""
        return one_thread() if self._params.frozen else nullcontext()

    def curve(self) -> list[CurvePoint]:
        return self._curve

    @property
    def _output(self) -> Output:
        """What the heads are given of the encoders' output."""
        return self._params.pooling

    def _heads(self, widths: tuple[int, ...]) -> Scaled:
        """Untrained heads on embeddings of these widths, by modality."""
        return LabelHeads(widths, self._params.hidden, self._params.dropout, len(LABELS))

    def _labelled(self, clips: ClipData) -> LabelledWindows:
        labels = torch.from_numpy(clips.labels[clips.clip_of].astype(np.float32))
        return LabelledWindows(self._inputs(clips), labels, clips.clip_of)

    def _inputs(self, clips: ClipData) -> tuple[Tensor, ...]:
        """What the model is called with: cached embeddings where the encoders are frozen, else windows."""
        if self._params.frozen:
            return (torch.from_numpy(self._embeddings(clips)),)
        return encoder_inputs(clips, self._params.eeg_scale_uv)

    def _embeddings(self, clips: ClipData) -> F32:
        """Fused embedding of every window by the encoders as they were before fine-tuning: float32 (w, sum of widths),
        or (w, P, sum of widths) for heads that take patches.
        """
        how = self._output
        parts = [torch.from_numpy(self._encoders.patches(clips, each)) for each in self.modalities]
        if how != "patches":
            parts = [pooled(part, how) for part in parts]
        fused: F32 = torch.cat(parts, dim=-1).numpy()
        return fused

    def _widths(self, clips: ClipData) -> tuple[int, ...]:
        """Width of each modality's embedding of these clips' windows."""
        patches = clips.eeg.shape[2] if self._output == "channels" else 1
        return tuple(patches * self._encoders.sizes(each).width for each in self.modalities)

    def _two_encoders(self) -> TwoEncoders:
        eeg, ecg = (self._encoders.encoder(m) if m in self.modalities else None for m in ("eeg", "ecg"))
        return TwoEncoders(eeg, ecg, self._output)
