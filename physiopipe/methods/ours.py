"""The paper's method: EEG encoder and ECG encoder, embeddings averaged and concatenated, a head a label.

Other fusions, and one modality alone, are subclasses that change the heads, or the modalities, and nothing else.
What is read from the encoders is a `ReadOut`: one, or the best of several by the validation subjects of each fold.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from physiopipe.clips.amplitude import scale_remarks
from physiopipe.clips.clip_data import F32, F64, ClipData, Modality
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Arrays, Method, Setup
from physiopipe.methods.fused_embeddings import FusedEmbeddings
from physiopipe.methods.fusion_settings import FusionSettings, ReadOut
from physiopipe.methods.fusion_words import check_settings, details_of, provenance_of, reads_of
from physiopipe.training.curve import CurvePoint

if TYPE_CHECKING:
    from torch import Tensor, nn

    from physiopipe.clips.embeddings import Encoders
    from physiopipe.models.fusion import Output, Scaled, TwoEncoders
    from physiopipe.training.finetune import LabelledWindows

_EEG, _ECG = "encoders.eeg.", "encoders.ecg."  # of the names of weights
FITS_A_PROCESS = 8  # frozen fits of a few seconds each, which are worth the seconds that another process takes to start


class Ours(Method):
    """Fusion by concatenation (paper section 2.2), trained by Table 2; encoders frozen or trained along."""

    name = "ours"
    title = "Ours"
    note = "The paper's method: two encoders, embeddings averaged and concatenated, a head a label."
    Settings: ClassVar[type[FusionSettings]] = FusionSettings
    inputs: ClassVar[tuple[str, ...]] = ("eeg", "ecg")
    uses_baseline = True
    modalities: ClassVar[tuple[Modality, ...]] = ("eeg", "ecg")
    libraries = ("numpy", "torch")
    any_read_out: ClassVar[bool] = True  # whether pooling, layer and head may be any: not where the heads are its own

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        import torch

        from physiopipe.training.device import choose_device

        self.settings = setup.section(self.name, self.Settings)
        check_settings(self.name, self.settings, setup.params, self.modalities, self.any_read_out)
        self._device = choose_device(setup.params.run)
        self._fused = FusedEmbeddings(setup, self.settings, self.modalities, self._device)
        self._read_out = self.settings.read_outs[0]
        self._encoders = self._fused.encoders(self._read_out)
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
        untrained = [each for each in self.modalities if self._encoders.untrained(each)]
        return provenance_of(self.settings, untrained)

    @property
    def reads(self) -> str:
        by_rms = self._fused.scaled_by_rms(self._read_out)
        scale_uv = None if by_rms else self.setup.params.encoders.eeg_scale_uv
        how = self._encoders.ecg_normalisation if "ecg" in self.modalities else "lead_zscore"
        return reads_of(self._read_out, self.modalities, scale_uv, how)

    @property
    def details(self) -> str:
        return details_of(self.settings, self._standardised, self._output)

    @property
    def _standardised(self) -> str:
        by_training = "standardised by the training subjects' windows"
        return by_training if self.settings.standardise else "not standardised"

    @property
    def encoders(self) -> dict[str, str]:
        return {each: self._encoders.described(each) for each in self.modalities}

    @property
    def trained_parameters(self) -> int:
        """Weights of the heads, and of the encoders where these are trained along."""
        return sum(weight.numel() for weight in self._model.parameters() if weight.requires_grad)

    def fingerprint(self) -> dict[str, Any]:
        given = self._fused.encoders(self.settings.read_outs[0])  # whatever a fold made of them
        return {
            "settings": self.settings.model_dump(mode="json"),
            "encoders": {each: given.digest(each) for each in self.modalities},
            "device": self._device.type,
        }

    def remarks(self, clips: ClipData) -> list[str]:
        if "eeg" not in self.modalities or self._fused.scaled_by_rms(self._read_out):
            return []
        return scale_remarks(clips, self.setup.params.encoders.eeg_scale_uv)

    def precompute(self, clips: ClipData) -> None:
        if self.settings.frozen:
            for read_out in self.settings.read_outs:
                self._fused.precompute(clips, read_out, self._output_of(read_out))

    def workers(self, runs: int, cores: int) -> int:
        import torch

        if self.settings.frozen:
            return min(cores, runs // FITS_A_PROCESS)
        return min(torch.cuda.device_count(), runs) if self._device.type == "cuda" else 1

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        best: tuple[tuple[float, float], dict[str, Any]] | None = None
        for read_out in self.settings.read_outs:
            self._read_out = read_out
            self._encoders = self._encoders_of_fold(read_out, train, seed)
            self._fit(train, validation, seed)
            if len(self.settings.read_outs) > 1:
                score = self._score(validation)
                if best is None or score > best[0]:
                    best = score, dict(vars(self))
        if best is not None:
            vars(self).update(best[1])
        return self

    def _fit(self, train: ClipData, validation: ClipData, seed: int) -> None:
        """Fit what is read out now."""
        import torch

        from physiopipe.models.fusion import Fusion
        from physiopipe.models.probes import LogisticHeads
        from physiopipe.training.finetune import train as train_model
        from physiopipe.training.probe import fit_logistic

        self._heads_widths, self._tasks = self._widths(train), len(train.tasks)
        self._heads_rows = self._fused.rows(train)
        windows, held_out = self._labelled(train), self._labelled(validation)
        with self._threads():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                heads = self._heads(self._heads_widths, self._tasks)
            if self.settings.standardise:
                frozen = self.settings.frozen
                heads.scale_by(windows.inputs[0] if frozen else torch.from_numpy(self._embeddings(train)))
            self._model: nn.Module = heads
            if isinstance(heads, LogisticHeads):
                fit_logistic(heads, windows, held_out, self.settings.inverse_regularisations)
                self._curve = []
                return
            if not self.settings.frozen:
                self._model = Fusion(copy.deepcopy(self._two_encoders()), heads)
            self._curve = train_model(self._model, windows, held_out, self.settings, seed, self._device)

    def _encoders_of_fold(self, read_out: ReadOut, train: ClipData, seed: int) -> "Encoders":
        """The encoders with what a fold's training subjects, or its seed, determine."""
        return self._fused.encoders_of_fold(read_out, train, seed)

    def _score(self, validation: ClipData) -> tuple[float, float]:
        """AUC of the validation clips, mean over tasks, and what decides among equals: minus their cross-entropy."""
        from physiopipe.training.finetune import mean_auc

        if not len(validation):
            return 0.0, 0.0  # the first that is named
        found, truth = self.predict(validation.without_labels()), validation.labels
        auc = mean_auc(truth, found)
        likely = np.clip(np.where(truth == 1, found, 1 - found), 1e-12, 1)
        return (auc if np.isfinite(auc) else -1.0), float(np.log(likely).mean())

    def predict(self, test: ClipData) -> F64:
        from physiopipe.training.finetune import probabilities

        inputs = self._inputs(test)
        with self._threads():
            return test.clip_means(probabilities(self._model, inputs, len(test.tasks), self._device))

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        whole = self._model.state_dict()
        if self.settings.shared_encoder and len(self.modalities) == 2:  # the two are one object: once is enough
            whole = {name: value for name, value in whole.items() if not name.startswith(_EEG)}
        choice = self._encoders.choice
        about = {
            "widths": list(self._heads_widths),
            "tasks": self._tasks,
            "rows": self._heads_rows,
            "read_out": self._read_out.model_dump(mode="json"),
            "encoders": {"eeg_scale_uv": choice.eeg_scale_uv, "draw": choice.draw},
        }
        return {name: value.detach().cpu().numpy() for name, value in whole.items()}, about

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        import torch

        from physiopipe.models.encoder import CrissCrossEncoder
        from physiopipe.models.fusion import Fusion, TwoEncoders

        self._heads_widths, self._tasks = tuple(about["widths"]), int(about["tasks"])
        self._heads_rows, self._read_out = int(about["rows"]), ReadOut.model_validate(about["read_out"])
        self._encoders = self._fused.encoders(self._read_out, **about["encoders"])
        weights = {name: torch.from_numpy(value) for name, value in arrays.items()}
        with torch.random.fork_rng(devices=[]):
            heads = self._heads(self._heads_widths, self._tasks)
            self._model = heads
            if not self.settings.frozen:
                sides = {each: CrissCrossEncoder(self._encoders.sizes(each)) for each in self.modalities}
                if self.settings.shared_encoder and len(sides) == 2:
                    sides["eeg"] = sides["ecg"]
                    weights |= {_EEG + name.removeprefix(_ECG): weights[name] for name in arrays if _ECG in name}
                two = TwoEncoders(sides.get("eeg"), sides.get("ecg"), self._output, self._read_out.layer)
                self._model = Fusion(two, heads)
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
        return self._output_of(self._read_out)

    def _output_of(self, read_out: ReadOut) -> "Output":
        return read_out.pooling

    def _heads(self, widths: tuple[int, ...], tasks: int) -> "Scaled":
        """Untrained heads on embeddings of these widths, by modality."""
        from physiopipe.models.fusion import LabelHeads
        from physiopipe.models.probes import AttentionHeads, LogisticHeads

        hidden, dropout = self.settings.hidden, self.settings.dropout
        if self._read_out.head == "logistic":
            return LogisticHeads(widths, tasks)
        if self._read_out.pooling == "attention":
            return AttentionHeads(widths, self._heads_rows, hidden, dropout, tasks)
        return LabelHeads(widths, hidden, dropout, tasks)

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
        if clips.baseline is not None:
            raise PhysiopipeError(
                f"method.{self.name}.frozen is false, and the cohort's clips.*.baseline is {clips.baseline.use}, which "
                "works on embeddings computed once: expected frozen: true, or baseline: none."
            )
        return encoder_inputs(clips, self._encoders.choice.eeg_scale_uv, self._encoders.ecg_normalisation)

    def _embeddings(self, clips: ClipData) -> F32:
        """Fused embedding of every window by the encoders as they were before fine-tuning: float32 (w, sum of widths),
        or (w, rows, sum of widths) for heads that take sequences.
        """
        return self._fused.of(clips, self._encoders, self._read_out, self._output)

    def _widths(self, clips: ClipData) -> tuple[int, ...]:
        """Width of each modality's embedding of these clips' windows."""
        return self._fused.widths(clips, self._encoders, self._read_out, self._output)

    def _two_encoders(self) -> "TwoEncoders":
        from physiopipe.models.fusion import TwoEncoders

        eeg, ecg = (self._encoders.encoder(m) if m in self.modalities else None for m in ("eeg", "ecg"))
        return TwoEncoders(eeg, ecg, self._output, self._read_out.layer)
