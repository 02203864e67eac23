"""The paper's method: EEG encoder and ECG encoder, embeddings averaged and concatenated, a head a label.

Other fusions, and one modality alone, are subclasses that change the heads, or the modalities, and nothing else.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F32, F64, ClipData, Modality
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Arrays, Method, Setup
from physiopipe.params.section import Count
from physiopipe.training.curve import CurvePoint
from physiopipe.training.recipe import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from physiopipe.clips.embeddings import EncoderChoice
    from physiopipe.models.fusion import Output, Scaled, TwoEncoders
    from physiopipe.training.finetune import LabelledWindows

_EEG, _ECG = "encoders.eeg.", "encoders.ecg."  # of the names of weights
FITS_A_PROCESS = 8  # frozen fits of a few seconds each, which are worth the seconds that another process takes to start


class FusionSettings(TrainingSettings):
    """Two encoders, their fusion and its training (paper section 2.2 and Table 2)."""

    pooling: Literal["channels_and_patches", "channels"] = Field(
        "channels_and_patches", description="what an encoder's output is averaged over: 200-d, or 2000-d a modality"
    )
    standardise: bool = Field(
        True, description="z-score embeddings by the training subjects' windows before the head; the paper says nothing"
    )
    frozen: bool = Field(True, description="train the head alone on embeddings computed once, or everything")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description="dropout of the classification head")
    hidden: Count = Field(200, description="hidden width of the feed-forward head")
    shared_encoder: bool = Field(False, description="embed the EEG with the ECG encoder too: one for both modalities")


class Ours(Method):
    """Fusion by concatenation (paper section 2.2), trained by Table 2; encoders frozen or trained along."""

    name = "ours"
    title = "Ours"
    note = "The paper's method: two encoders, embeddings averaged and concatenated, a head a label."
    Settings: ClassVar[type[FusionSettings]] = FusionSettings
    inputs: ClassVar[tuple[str, ...]] = ("eeg", "ecg")
    modalities: ClassVar[tuple[Modality, ...]] = ("eeg", "ecg")
    libraries = ("numpy", "torch")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        import torch

        from physiopipe.clips.embeddings import Encoders
        from physiopipe.training.device import choose_device

        self.settings = setup.section(self.name, self.Settings)
        self._device = choose_device(setup.params.run)
        self._encoders = Encoders(_encoder_choice(setup, self.settings), setup.state_folder, self._device)
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
        if self.settings.shared_encoder:
            notes.append("one encoder for both modalities")
        return f"reimplementation ({', '.join(notes)})" if notes else "reimplementation"

    @property
    def reads(self) -> str:
        scale = f"EEG (divided by {self.setup.params.encoders.eeg_scale_uv:g} µV)"
        words = {"eeg": scale, "ecg": "ECG (each lead of a window z-scored)"}
        return f"Reads {' and '.join(words[each] for each in self.modalities)}."

    @property
    def details(self) -> str:
        kept = {
            "channels_and_patches": "averaged over channels and patches",
            "channels": "averaged over channels",
            "patches": "one a patch, averaged over channels",
        }
        trained = "Encoders frozen" if self.settings.frozen else "Encoders trained along"
        return (
            f"{trained}; embeddings {self._standardised} and {kept[self._output]}; of {self.settings.epochs} epochs, "
            "the one of best validation AUC."
        )

    @property
    def _standardised(self) -> str:
        by_training = "standardised by the training subjects' windows"
        return by_training if self.settings.standardise else "not standardised"

    @property
    def encoders(self) -> dict[str, str]:
        return {each: self._encoders.described(each) for each in self.modalities}

    def fingerprint(self) -> dict[str, Any]:
        return {
            "settings": self.settings.model_dump(mode="json"),
            "encoders": {each: self._encoders.digest(each) for each in self.modalities},
            "device": self._device.type,
        }

    def precompute(self, clips: ClipData) -> None:
        if self.settings.frozen:
            self._encoders.precompute(clips, self.modalities)

    def workers(self, runs: int, cores: int) -> int:
        import torch

        if self.settings.frozen:
            return min(cores, runs // FITS_A_PROCESS)
        return min(torch.cuda.device_count(), runs) if self._device.type == "cuda" else 1

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        import torch

        from physiopipe.models.fusion import Fusion
        from physiopipe.training.finetune import train as train_model

        self._heads_widths, self._tasks = self._widths(train), len(train.tasks)
        windows, held_out = self._labelled(train), self._labelled(validation)
        with self._threads():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                heads = self._heads(self._heads_widths, self._tasks)
            if self.settings.standardise:
                frozen = self.settings.frozen
                heads.scale_by(windows.inputs[0] if frozen else torch.from_numpy(self._embeddings(train)))
            self._model: nn.Module = heads
            if not self.settings.frozen:
                self._model = Fusion(copy.deepcopy(self._two_encoders()), heads)
            self._curve = train_model(self._model, windows, held_out, self.settings, seed, self._device)
        return self

    def predict(self, test: ClipData) -> F64:
        from physiopipe.training.finetune import probabilities

        inputs = self._inputs(test)
        with self._threads():
            return test.clip_means(probabilities(self._model, inputs, len(test.tasks), self._device))

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        whole = self._model.state_dict()
        if self.settings.shared_encoder and len(self.modalities) == 2:  # the two are one object: once is enough
            whole = {name: value for name, value in whole.items() if not name.startswith(_EEG)}
        about = {"widths": list(self._heads_widths), "tasks": self._tasks}
        return {name: value.detach().cpu().numpy() for name, value in whole.items()}, about

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        import torch

        from physiopipe.models.encoder import CrissCrossEncoder
        from physiopipe.models.fusion import Fusion, TwoEncoders

        self._heads_widths, self._tasks = tuple(about["widths"]), int(about["tasks"])
        weights = {name: torch.from_numpy(value) for name, value in arrays.items()}
        with torch.random.fork_rng(devices=[]):
            heads = self._heads(self._heads_widths, self._tasks)
            self._model = heads
            if not self.settings.frozen:
                sides = {each: CrissCrossEncoder(self._encoders.sizes(each)) for each in self.modalities}
                if self.settings.shared_encoder and len(sides) == 2:
                    sides["eeg"] = sides["ecg"]
                    weights |= {_EEG + name.removeprefix(_ECG): weights[name] for name in arrays if _ECG in name}
                self._model = Fusion(TwoEncoders(sides.get("eeg"), sides.get("ecg"), self._output), heads)
        self._model.load_state_dict(weights)
        self._curve = []
        return self

    def _threads(self) -> AbstractContextManager[int | None]:
        """One thread for what is small: heads on embeddings are as fast so, and the same bytes in any process."""
        from physiopipe.training.threads import one_thread

        return one_thread() if self.settings.frozen else nullcontext()

    def curve(self) -> list[CurvePoint]:
        return self._curve

    @property
    def _output(self) -> "Output":
        """What the heads are given of the encoders' output."""
        return self.settings.pooling

    def _heads(self, widths: tuple[int, ...], tasks: int) -> "Scaled":
        """Untrained heads on embeddings of these widths, by modality."""
        from physiopipe.models.fusion import LabelHeads

        return LabelHeads(widths, self.settings.hidden, self.settings.dropout, tasks)

    def _labelled(self, clips: ClipData) -> "LabelledWindows":
        import torch

        from physiopipe.training.finetune import LabelledWindows

        labels = torch.from_numpy(clips.labels[clips.clip_of].astype(np.float32))
        return LabelledWindows(self._inputs(clips), labels, clips.clip_of)

    def _inputs(self, clips: ClipData) -> "tuple[Tensor, ...]":
        """What the model is called with: cached embeddings where the encoders are frozen, else windows."""
        import torch

        from physiopipe.clips.embeddings import encoder_inputs

        if self.settings.frozen:
            return (torch.from_numpy(self._embeddings(clips)),)
        return encoder_inputs(clips, self._encoders.choice.eeg_scale_uv)

    def _embeddings(self, clips: ClipData) -> F32:
        """Fused embedding of every window by the encoders as they were before fine-tuning: float32 (w, sum of widths),
        or (w, P, sum of widths) for heads that take patches.
        """
        import torch

        from physiopipe.models.fusion import pooled

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

    def _two_encoders(self) -> "TwoEncoders":
        from physiopipe.models.fusion import TwoEncoders

        eeg, ecg = (self._encoders.encoder(m) if m in self.modalities else None for m in ("eeg", "ecg"))
        return TwoEncoders(eeg, ecg, self._output)


def _encoder_choice(setup: Setup, settings: FusionSettings) -> "EncoderChoice":
    """The encoders that the parameters name."""
    from physiopipe.clips.embeddings import EncoderChoice

    whole = setup.params
    return EncoderChoice(
        eeg=whole.encoders.eeg,
        ecg=whole.pretrain.encoder,
        eeg_weights=whole.encoders.eeg_weights,
        ecg_weights=setup.ecg_encoder,
        eeg_scale_uv=whole.encoders.eeg_scale_uv,
        shared=settings.shared_encoder,
    )
