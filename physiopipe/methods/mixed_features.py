"""Everything between Ours and the handcrafted row: what is read of each modality, the classifier, and the unit it is
fitted on are settings of their own, so that the gap between the two rows can be shared out among them.

With its defaults it is Ours with a network head; with `features`, `features`, `regression` and `clip` it is the
handcrafted row.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F32, F64, MODALITIES, ClipData, Modality
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Arrays, Setup, prevalence
from physiopipe.methods.filled_regressions import FilledRegressions, training_means
from physiopipe.methods.fused_embeddings import FusedEmbeddings
from physiopipe.methods.fusion_settings import FusionSettings
from physiopipe.methods.fusion_words import check_settings, provenance_of
from physiopipe.methods.handcrafted import WindowFeatures
from physiopipe.params.section import Positive
from physiopipe.training.curve import CurvePoint

if TYPE_CHECKING:
    from physiopipe.models.fusion import LabelHeads
    from physiopipe.training.finetune import LabelledWindows

Source = Literal["embedding", "features"]
_READS = {
    "eeg": {"embedding": "EEG (its encoder's embedding)", "features": "EEG (band power in µV²)"},
    "ecg": {"embedding": "ECG (its encoder's embedding)", "features": "ECG (beats, QRS and T amplitudes)"},
}


class MixedSettings(FusionSettings):
    """Between Ours and the handcrafted row; what is not named here is as in Ours."""

    eeg: Source = Field("embedding", description="what is read of the EEG: its encoder's embedding, or band powers")
    ecg: Source = Field("embedding", description="what is read of the ECG: its encoder's embedding, or beat features")
    classifier: Literal["network", "regression"] = Field(
        "network", description="the head of Ours, or the logistic regression of the handcrafted row"
    )
    unit: Literal["window", "clip"] = Field(
        "window", description="what is fitted and predicted: windows, whose probabilities are averaged, or clip means"
    )
    inverse_regularisation: Positive = Field(0.1, description="C of the L2 penalty (classifier: regression), by clips")


class MixedFeatures(WindowFeatures):
    """Embeddings or features of each modality side by side → network or logistic regression, on windows or on clips.

    A clip counts alike whatever the unit: the network takes as many steps (on clips, every window's row is its clip's
    mean), and a window's weight in the regression is one over the windows of its clip.
    """

    name = "mixed_features"
    title = "Between Ours and handcrafted"
    note = "Embeddings or handcrafted features of each modality, by a network or logistic regression."
    Settings: ClassVar[type[MixedSettings]] = MixedSettings
    can_do_without = ()
    libraries = ("numpy", "scipy", "scikit-learn", "torch")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        import torch

        from physiopipe.training.device import choose_device

        self.settings = setup.section(self.name, self.Settings)
        sources: dict[Modality, Source] = {"eeg": self.settings.eeg, "ecg": self.settings.ecg}
        self._sources = sources
        self._embedded = tuple(each for each in MODALITIES if sources[each] == "embedding")
        check_settings(self.name, self.settings, setup.params, MODALITIES, any_read_out=True)
        if faults := list(self._faults()):
            raise PhysiopipeError(f"method.{self.name}: {'; '.join(faults)}.")
        self._device = choose_device(setup.params.run)
        self._read_out = self.settings.read_outs[0]
        self._of = {each: FusedEmbeddings(setup, self.settings, (each,), self._device) for each in self._embedded}
        self._encoders = {each: one.encoders(self._read_out) for each, one in self._of.items()}
        self._curve: list[CurvePoint] = []
        self._widths: tuple[int, ...] = ()  # of what is read of each modality, and what fills holes, for a network
        self._fill: F64 = np.zeros(0)
        if setup.params.run.threads:
            torch.set_num_threads(setup.params.run.threads)
        if "ecg" in self._of and setup.ecg_encoder is not None and not setup.ecg_encoder.exists():
            raise PhysiopipeError(
                f"{setup.ecg_encoder} is missing: `{self.name}` needs the pretrained ECG encoder. "
                "Run `physiopipe pretrain` first (`dvc repro` does)."
            )

    def _faults(self) -> Iterator[str]:
        settings = self.settings
        if not settings.frozen:
            yield "it works on embeddings computed once: expected frozen: true"
        if settings.choose or settings.head != "network" or settings.pooling == "attention":
            yield "it has one network head: expected choose: [], head: network and a pooling without attention"

    @property
    def provenance(self) -> str:
        untrained = [each for each in self._embedded if self._encoders[each].untrained(each)]
        return provenance_of(self.settings, untrained) if self._embedded else "baseline"

    @property
    def reads(self) -> str:
        return f"Reads {' and '.join(_READS[each][source] for each, source in self._sources.items())}."

    @property
    def details(self) -> str:
        head = {"network": "The head of Ours", "regression": "Logistic regression"}[self.settings.classifier]
        unit = {"window": "windows, probabilities averaged over a clip", "clip": "means of a clip's windows"}
        return f"{head} on {unit[self.settings.unit]}."

    @property
    def encoders(self) -> dict[str, str]:
        return {each: one.described(each) for each, one in self._encoders.items()}

    @property
    def trained_parameters(self) -> int:
        """Weights of the heads, or coefficients and intercepts."""
        if isinstance(self._model, FilledRegressions):
            return self._model.trained_parameters
        return sum(weight.numel() for weight in self._model.parameters())

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {
            "encoders": {each: one.encoders(self._read_out).digest(each) for each, one in self._of.items()},
            "device": self._device.type,
        }

    def precompute(self, clips: ClipData) -> None:
        for one in self._of.values():
            one.precompute(clips, self._read_out, self._read_out.pooling)
        if len(self._of) < len(MODALITIES):
            super().precompute(clips)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        constant = prevalence(train)
        self._encoders = {each: one.encoders_of_fold(self._read_out, train, seed) for each, one in self._of.items()}
        self._curve = []
        if self.settings.classifier == "network":
            self._fit_network(train, validation, seed)
            return self
        self._widths, self._fill = (), np.zeros(0)
        rows, labels, weights = self._values(train), train.labels, None
        if self.settings.unit == "window":
            labels = train.labels[train.clip_of]
            weights = 1 / np.bincount(train.clip_of, minlength=len(train))[train.clip_of]
        strength = self.settings.inverse_regularisation
        self._model: FilledRegressions | LabelHeads = FilledRegressions.fitted(
            rows, labels, constant, strength, weights
        )
        return self

    def _fit_network(self, train: ClipData, validation: ClipData, seed: int) -> None:
        """As Ours does it, on what is read here."""
        import torch

        from physiopipe.models.fusion import LabelHeads
        from physiopipe.training.finetune import train as train_model
        from physiopipe.training.threads import one_thread

        self._widths = tuple(part.shape[1] for part in self._parts(train))
        values = self._values(train)
        self._fill = training_means(values)
        windows, held_out = self._labelled(train, values), self._labelled(validation, self._values(validation))
        with one_thread():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self._model = LabelHeads(self._widths, self.settings.hidden, self.settings.dropout, len(train.tasks))
            if self.settings.standardise:
                self._model.scale_by(windows.inputs[0])
            self._curve = train_model(self._model, windows, held_out, self.settings, seed, self._device)

    def predict(self, test: ClipData) -> F64:
        import torch

        from physiopipe.training.finetune import probabilities
        from physiopipe.training.threads import one_thread

        values, by_clip = self._values(test), self.settings.unit == "clip"
        if isinstance(self._model, FilledRegressions):
            found = self._model.predict(values) if len(test) else np.empty((0, len(test.tasks)))
            return found if by_clip else test.clip_means(found)
        inputs = (torch.from_numpy(self._filled(values)),)
        with one_thread():
            found = probabilities(self._model, inputs, len(test.tasks), self._device)
        return found if by_clip else test.clip_means(found)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        choices = {each: one.choice for each, one in self._encoders.items()}
        about: dict[str, Any] = {
            "encoders": {each: {"eeg_scale_uv": one.eeg_scale_uv, "draw": one.draw} for each, one in choices.items()}
        }
        if isinstance(self._model, FilledRegressions):
            return self._model.state(), about
        arrays: Arrays = {name: value.detach().cpu().numpy() for name, value in self._model.state_dict().items()}
        tasks = len(self._model.heads)
        return arrays | {"fill": self._fill}, about | {"widths": list(self._widths), "tasks": tasks}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        import torch

        from physiopipe.models.fusion import LabelHeads

        chosen = about["encoders"]
        self._encoders = {each: one.encoders(self._read_out, **chosen[each]) for each, one in self._of.items()}
        self._curve = []
        if self.settings.classifier == "regression":
            self._widths, self._fill = (), np.zeros(0)
            self._model = FilledRegressions.restored(arrays)
            return self
        self._widths, self._fill = tuple(about["widths"]), arrays["fill"]
        with torch.random.fork_rng(devices=[]):
            settings = self.settings
            self._model = LabelHeads(self._widths, settings.hidden, settings.dropout, int(about["tasks"]))
        self._model.load_state_dict({name: torch.from_numpy(x) for name, x in arrays.items() if name != "fill"})
        return self

    def curve(self) -> list[CurvePoint]:
        return self._curve

    def _parts(self, clips: ClipData) -> list[F32]:
        """What is read of each modality of every window, (w, k); NaN: could not be measured."""
        features = self._window_features(clips) if len(self._of) < len(MODALITIES) else None
        return [
            self._embedding(clips, each) if each in self._of else _of_modality(features, each) for each in MODALITIES
        ]

    def _embedding(self, clips: ClipData, modality: Modality) -> F32:
        """The embedding of every window, NaN where there is no signal (it is exactly 0 there)."""
        found = self._of[modality].of(clips, self._encoders[modality], self._read_out, self._read_out.pooling)
        found[(found == 0).all(axis=1)] = np.nan
        return found

    def _values(self, clips: ClipData) -> F64:
        """What is read of every window, (w, k), or its mean over each clip's windows, (n, k)."""
        if not len(clips):
            return np.empty((0, sum(self._widths)))
        values = np.concatenate(self._parts(clips), axis=1).astype(np.float64)
        return clips.clip_means(values) if self.settings.unit == "clip" else values

    def _filled(self, values: F64) -> F32:
        """Rows for a network: 0 for a modality without signal, which its head knows; other holes at training means."""
        filled, start = np.where(np.isfinite(values), values, self._fill), 0
        for width in self._widths:
            sides = slice(start, start + width)
            filled[~np.isfinite(values[:, sides]).any(axis=1), sides] = 0.0
            start += width
        return filled.astype(np.float32)

    def _labelled(self, clips: ClipData, values: F64) -> "LabelledWindows":
        import torch

        from physiopipe.training.finetune import LabelledWindows

        rows = self._filled(values)[clips.clip_of] if self.settings.unit == "clip" else self._filled(values)
        labels = torch.from_numpy(clips.labels[clips.clip_of].astype(np.float32))
        return LabelledWindows((torch.from_numpy(rows),), labels, clips.clip_of)


def _of_modality(features: F32 | None, modality: Modality) -> F32:
    """The columns of the features that come from a modality."""
    from physiopipe.clips.features import ECG_FEATURES

    assert features is not None
    return features[:, : -len(ECG_FEATURES)] if modality == "eeg" else features[:, -len(ECG_FEATURES) :]
