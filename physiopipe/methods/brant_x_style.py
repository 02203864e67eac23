"""A stand-in for Brant-X (Zhang et al. 2024): an ECG encoder aligned with an EEG encoder, then both fine-tuned.

The authors' repository holds neither code nor weights, and their EEG encoder is not public. Here both encoders are
those of this project's own method (CBraMod); losses, projections, augmentation and head are choices made here. The
difference between the row with and without alignment is all that it can speak about.
"""

import copy
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F64, MODALITIES, ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Arrays, Method, Setup, prevalence
from physiopipe.methods.clip_windows import ClipWindowsSettings
from physiopipe.methods.networks import kept_weights, weights_in
from physiopipe.methods.reductions import reductions
from physiopipe.params.section import Count, LearningRate, Positive, Share
from physiopipe.training.curve import CurvePoint

if TYPE_CHECKING:
    import torch

    from physiopipe.models.alignment import JointHead
    from physiopipe.training.alignment import AlignmentPlan


class BrantXStyleSettings(ClipWindowsSettings):
    """Alignment without labels and fine-tuning with them; all defaults are this project's choices."""

    align: bool = Field(True, description="align the ECG encoder first; without it the same network is fine-tuned")
    align_epochs: Count = Field(20, description="epochs of alignment; the last is kept")
    align_batch_size: int = Field(64, ge=2, description="windows of a step of alignment")
    align_learning_rate: LearningRate = Field(1e-4, description="of Adam, in alignment")
    windows_of_one_clip: Count = Field(4, description="of a step of alignment, at most")
    resampled_share: Share = Field(
        0.5, description="probability that an ECG window is brought to 100, 128 or 160 Hz and back in alignment"
    )
    projected_width: Count = Field(128, description="that embeddings are compared in")
    temperature: Positive = Field(0.1, description="of InfoNCE")
    epochs: Count = Field(10, description="epochs with labels; the best by validation people is kept")
    batch_size: Count = Field(8, description="windows of a step with labels")
    head_learning_rate: LearningRate = Field(1e-3, description="of Adam, of the head")
    encoder_learning_rate: LearningRate = Field(1e-4, description="of Adam, of both encoders, with labels")
    hidden: Count = Field(128, description="hidden width of the head")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description="dropout of the head")


class BrantXStyle(Method):
    """ECG embeddings drawn to EEG embeddings of the same seconds and windows, then all weights trained with labels."""

    name = "brant_x_style"
    title = "Brant-X-style alignment on CBraMod (stand-in)"
    note = (
        "Stand-in for Brant-X, whose code and weights are not public: not their method. The ECG encoder is aligned "
        "with the EEG encoder on the training people's windows, without labels; then both are fine-tuned with a head; "
        "one network with an output a task; a clip's probability is the mean over windows."
    )
    Settings: ClassVar[type[BrantXStyleSettings]] = BrantXStyleSettings
    inputs = ("eeg", "ecg")
    libraries = ("numpy", "scipy", "torch")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        from physiopipe.clips.embeddings import EncoderChoice, Encoders
        from physiopipe.training.device import choose_device

        self.settings = setup.section(self.name, self.Settings)
        self._device: torch.device = choose_device(setup.params.run)
        whole = setup.params
        choice = EncoderChoice(
            eeg=whole.encoders.eeg,
            ecg=whole.pretrain.encoder,
            eeg_weights=whole.encoders.eeg_weights,
            ecg_weights=setup.ecg_encoder,
            eeg_scale_uv=whole.encoders.eeg_scale_uv,
        )
        self._encoders = Encoders(choice, setup.state_folder, self._device)
        self._curve: list[CurvePoint] = []
        self.alignment_losses: list[float] = []  # by epoch of the latest fit
        if setup.ecg_encoder is not None and not setup.ecg_encoder.exists():
            raise PhysiopipeError(
                f"{setup.ecg_encoder} is missing: `{self.name}` needs the pretrained ECG encoder. "
                "Run `physiopipe pretrain` first (`dvc repro` does)."
            )

    @property
    def provenance(self) -> str:
        learnt = {True: "untrained", False: "pretrained"}
        aligned = (
            "aligned on the fold's training people alone, without labels" if self.settings.align else "not aligned"
        )
        notes = [
            f"choices of this project on {self.setup.params.encoders.eeg.layers}-layer EEG and "
            f"{self.setup.params.pretrain.encoder.layers}-layer ECG encoders",
            *(f"{each.upper()} encoder {learnt[self._encoders.untrained(each)]} before" for each in MODALITIES),
            aligned,
            reductions(self.settings),
        ]
        return f"stand-in: no code or weights of the authors are public ({'; '.join(note for note in notes if note)})"

    @property
    def reads(self) -> str:
        scale = self.setup.params.encoders.eeg_scale_uv
        return f"Reads EEG (divided by {scale:g} µV) and ECG (each lead of a window z-scored)."

    @property
    def details(self) -> str:
        first = f"{self.settings.align_epochs} epochs of alignment" if self.settings.align else "No alignment"
        return f"{first}; of {self.settings.epochs} epochs with labels, the one of best validation AUC."

    @property
    def encoders(self) -> dict[str, str]:
        return {each: self._encoders.described(each) for each in MODALITIES}

    @property
    def trained_parameters(self) -> int:
        """Weights that the latest fit trained with labels."""
        return sum(weight.numel() for weight in self._network.parameters())

    def fingerprint(self) -> dict[str, Any]:
        return {
            "settings": self.settings.model_dump(mode="json"),
            "encoders": {each: self._encoders.digest(each) for each in MODALITIES},
            "device": self._device.type,
        }

    def precompute(self, clips: ClipData) -> None:
        self._encoders.precompute(clips, ("eeg",))

    def workers(self, runs: int, cores: int) -> int:
        import torch

        return min(torch.cuda.device_count() if self._device.type == "cuda" else cores, runs)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        import torch

        from physiopipe.clips.embeddings import encoder_inputs
        from physiopipe.models.fusion import Fusion, TwoEncoders, in_blocks, patch_embeddings, pooled
        from physiopipe.training.alignment import align
        from physiopipe.training.finetune import EVALUATION_BLOCK, LabelledWindows
        from physiopipe.training.patience import Plan, train_with_patience
        from physiopipe.training.threads import one_thread

        it = self.settings
        self._prevalence = prevalence(train)
        scale = self._encoders.choice.eeg_scale_uv
        how = self._encoders.ecg_normalisation
        inputs, held_out = encoder_inputs(train, scale, how), encoder_inputs(validation, scale, how)
        eeg, ecg = (copy.deepcopy(self._encoders.encoder(each)).to(self._device) for each in MODALITIES)
        _, ecg_windows, _, ecg_valid = inputs
        of_eeg = torch.from_numpy(self._encoders.patches(train, "eeg"))
        of_device = [self._device] if self._device.type == "cuda" else []
        self.alignment_losses = []
        with one_thread(), torch.random.fork_rng(devices=of_device):
            if it.align:
                torch.manual_seed(seed)
                order = np.random.default_rng([seed, 1])
                plan = self._alignment_plan()
                self.alignment_losses = align(ecg, of_eeg, ecg_windows, ecg_valid, train.clip_of, plan, order)
            torch.manual_seed(seed)  # the head and the order of windows are the same with alignment and without
            head = self._new_head(len(train.tasks))
            self._network: Fusion = Fusion(TwoEncoders(eeg, ecg, "channels_and_patches"), head)
            ecg.eval()
            of_ecg = in_blocks(
                lambda x, valid: patch_embeddings(ecg, x, valid),
                (ecg_windows, ecg_valid),
                EVALUATION_BLOCK,
                self._device,
            )
            parts = [pooled(part, "channels_and_patches") for part in (of_eeg, of_ecg)]
            head.scale_by(torch.cat(parts, dim=-1))
            self._network.to(self._device)
            groups = [
                {"params": self._network.heads.parameters(), "lr": it.head_learning_rate},
                {"params": self._network.encoders.parameters(), "lr": it.encoder_learning_rate},
            ]
            labelled, judged = (
                LabelledWindows(x, torch.from_numpy(clips.labels[clips.clip_of].astype(np.float32)), clips.clip_of)
                for x, clips in ((inputs, train), (held_out, validation))
            )
            self._curve = train_with_patience(
                self._network,
                labelled,
                judged,
                torch.optim.Adam(groups),
                Plan(it.epochs, it.batch_size, draws=it.draws),
                np.random.default_rng([seed, 2]),
            )
        return self

    def predict(self, test: ClipData) -> F64:
        from physiopipe.clips.embeddings import encoder_inputs
        from physiopipe.training.finetune import probabilities
        from physiopipe.training.threads import one_thread

        inputs = encoder_inputs(test, self._encoders.choice.eeg_scale_uv, self._encoders.ecg_normalisation)
        with one_thread():
            found = probabilities(self._network, inputs, len(self._prevalence), self._device)
        return test.clip_means(found)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return kept_weights(self._network.state_dict()) | {"prevalence": self._prevalence}, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        import torch

        from physiopipe.models.encoder import CrissCrossEncoder
        from physiopipe.models.fusion import Fusion, TwoEncoders

        self._prevalence = arrays["prevalence"]
        with torch.random.fork_rng(devices=[]):
            eeg, ecg = (CrissCrossEncoder(self._encoders.sizes(each)) for each in MODALITIES)
            head = self._new_head(len(self._prevalence))
            self._network = Fusion(TwoEncoders(eeg, ecg, "channels_and_patches"), head)
        self._network.load_state_dict(weights_in(arrays))
        self._network.to(self._device)
        self._curve, self.alignment_losses = [], []
        return self

    def curve(self) -> list[CurvePoint]:
        return self._curve

    def _new_head(self, tasks: int) -> "JointHead":
        """The head untrained, its weights drawn from torch's generator."""
        from physiopipe.models.alignment import JointHead

        eeg, ecg = (self._encoders.sizes(each).width for each in MODALITIES)
        return JointHead((eeg, ecg), self.settings.hidden, self.settings.dropout, tasks)

    def _alignment_plan(self) -> "AlignmentPlan":
        from physiopipe.training.alignment import AlignmentPlan

        it = self.settings
        return AlignmentPlan(
            it.align_epochs,
            it.align_batch_size,
            it.align_learning_rate,
            it.windows_of_one_clip,
            it.resampled_share,
            it.projected_width,
            it.temperature,
            it.draws,
        )
