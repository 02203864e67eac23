"""What the rows on a frozen GPT-2 have in common: where it comes from, windows at 128 Hz, training, what is kept."""

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from physiopipe.clips.clip_data import F32, F64, MODALITIES, ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_json
from physiopipe.methods.base import Arrays, Method, Setup, prevalence
from physiopipe.methods.clip_windows import ClipWindowsSettings
from physiopipe.methods.gpt2_source import Gpt2Settings, Gpt2Source
from physiopipe.methods.reductions import reductions
from physiopipe.params.section import Count, LearningRate
from physiopipe.training.curve import CurvePoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from physiopipe.training.finetune import LabelledWindows

_SCALER = "scaler."  # of the names of arrays that are no weights


class LanguageModelSettings(ClipWindowsSettings):
    """A frozen GPT-2, and what is trained about it; subclasses have their authors' values as defaults."""

    gpt2: Gpt2Settings = Gpt2Settings()
    patch_samples: Count = Field(16, description="samples of a patch, at 128 Hz")
    stride_samples: Count = Field(16, description="samples from one patch to the next, at 128 Hz")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="dropout while training")
    epochs: Count = Field(10, description="passes over the training windows; validation people choose one")
    batch_size: Count = Field(16, description="windows of a step")
    learning_rate: LearningRate = Field(1e-3, description="of the optimiser, constant")


class LanguageModelMethod(Method):
    """Windows of both modalities at 128 Hz, channels together, to a network on a frozen GPT-2; an output a task.

    The frozen parameters are compared, byte for byte, before and after training.
    """

    Settings: ClassVar[type[LanguageModelSettings]]
    inputs = ("eeg", "ecg")
    libraries = ("numpy", "scipy", "torch", "transformers")
    extras = ("transformers",)
    told_elsewhere: ClassVar[tuple[str, ...]] = ("gpt2",)  # settings that are no part of a provenance's list

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        from physiopipe.clips.resampled import ResampledWindows
        from physiopipe.training.device import choose_device

        self._device = choose_device(setup.params.run)
        self._gpt2 = Gpt2Source(self._section.gpt2)
        self._windows = ResampledWindows(setup.state_folder)
        self._net: Any = None  # a torch module once fitted or restored
        self._curve: list[CurvePoint] = []

    @property
    def _section(self) -> LanguageModelSettings:
        return self.setup.section(self.name, self.Settings)

    @property
    def provenance(self) -> str:
        published = {name: getattr(self.Settings(), name) for name in self.told_elsewhere}
        reduced = reductions(self._section.model_copy(update=published))
        return f"reimplementation ({'; '.join(part for part in (self._gpt2.told(), reduced) if part)})"

    @property
    def trained_parameters(self) -> int:
        return sum(weight.numel() for weight in self._net.parameters() if weight.requires_grad)

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {"gpt2": self._gpt2.fingerprint(), "device": self._device.type}

    def workers(self, runs: int, cores: int) -> int:
        import torch

        if self._device.type == "cuda":
            return min(torch.cuda.device_count(), runs)
        return min(cores, runs)

    def precompute(self, clips: ClipData) -> None:
        self._windows.precompute(clips, MODALITIES)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        from physiopipe.models.frozen import check_frozen, frozen_digests
        from physiopipe.training.finetune import train_with

        prevalence(train)  # refuses what has no clips
        self._sizes = {
            "channels": train.eeg.shape[1] + train.ecg.shape[1],
            "samples": self._samples(train),
            "tasks": len(train.tasks),
        }
        with self._threads():
            self._prepare(train, validation)
            self._net = self._new_net(seed)
            before = frozen_digests(self._net)
            self._curve = train_with(
                lambda: self._optimiser(self._net),
                self._net,
                self._labelled(train),
                self._labelled(validation),
                self._section,
                seed,
                self._device,
                self._section.draws,
            )
            check_frozen(self._net, before)
        self._frozen = sha256_json(before)
        return self

    def predict(self, test: ClipData) -> F64:
        from physiopipe.training.finetune import probabilities

        with self._threads():
            return test.clip_means(probabilities(self._net, self._inputs(test), self._sizes["tasks"], self._device))

    def curve(self) -> list[CurvePoint]:
        return self._curve

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """The trained weights alone: the frozen ones are loaded, or drawn, again, and compared by their digest."""
        from physiopipe.training.finetune import learnt

        arrays: Arrays = {name: value.numpy() for name, value in learnt(self._net).items()}
        arrays |= {_SCALER + name: value for name, value in self._scaler().items()}
        return arrays, {"sizes": self._sizes, "frozen_sha256": self._frozen} | self._about()

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        import torch

        from physiopipe.models.frozen import frozen_digests, frozen_parameters

        self._sizes = {name: int(value) for name, value in about["sizes"].items()}
        self._restore_scaler({n.removeprefix(_SCALER): v for n, v in arrays.items() if n.startswith(_SCALER)}, about)
        self._net, self._curve = self._new_net(0), []
        self._frozen = sha256_json(frozen_digests(self._net))
        if self._frozen != about["frozen_sha256"]:
            raise PhysiopipeError(
                f"{self.name} was fitted on another GPT-2 than the one its settings name now ({self._gpt2.told()}): "
                "expected the same frozen weights, byte for byte. Name that GPT-2, or fit again."
            )
        weights = {n: torch.from_numpy(v.copy()) for n, v in arrays.items() if not n.startswith(_SCALER)}
        found = self._net.load_state_dict(weights, strict=False)
        if found.unexpected_keys or set(found.missing_keys) - set(frozen_parameters(self._net)):
            raise PhysiopipeError(
                f"what is kept of {self.name} does not fit its network: expected all trained weights and no others. "
                "Fit again."
            )
        self._net.to(self._device)
        return self

    @abstractmethod
    def _network(self) -> "nn.Module":
        """An untrained network for windows of `self._sizes`; new weights are drawn from torch's generator."""

    @abstractmethod
    def _optimiser(self, net: "nn.Module") -> "Steps":
        """The authors' optimiser of what is trained."""

    @abstractmethod
    def _inputs(self, clips: ClipData) -> "tuple[Tensor, ...]":
        """What the network is called with, windows first."""

    def _prepare(self, train: ClipData, validation: ClipData) -> None:
        """Learn what the inputs need, before any is made."""

    def _scaler(self) -> Arrays:
        """What `_prepare` has learnt."""
        return {}

    def _about(self) -> dict[str, Any]:
        """What `_prepare` has learnt, as JSON values."""
        return {}

    def _restore_scaler(self, arrays: Arrays, about: dict[str, Any]) -> None:
        """Be as after the `_prepare` that these are of."""

    def _new_net(self, seed: int) -> "nn.Module":
        import torch

        self._gpt2.loaded  # noqa: B018  # drawn, if it is drawn, from a generator of its own
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._network()

    def _labelled(self, clips: ClipData) -> "LabelledWindows":
        import torch

        from physiopipe.training.finetune import LabelledWindows

        labels = torch.from_numpy(clips.labels[clips.clip_of].astype(np.float32))
        return LabelledWindows(self._inputs(clips), labels, clips.clip_of)

    def _signals(self, clips: ClipData) -> F32:
        """Windows at 128 Hz, EEG channels first, float32 (w, channels, samples); 0 where `_known` is False."""
        return np.concatenate([self._windows.of(clips, each) for each in MODALITIES], axis=1)

    def _known(self, clips: ClipData) -> npt.NDArray[np.bool_]:
        """Where `_signals` has signal: present channels, valid patches; bool (w, channels, samples)."""
        present = np.concatenate([clips.eeg_present, clips.ecg_present], axis=1)
        samples = self._samples(clips)
        until = clips.valid_patches * (samples // clips.eeg.shape[2])
        known: npt.NDArray[np.bool_] = present[:, :, None] & (np.arange(samples) < until[:, None])[:, None]
        return known

    @staticmethod
    def _samples(clips: ClipData) -> int:
        from physiopipe.clips.resampled import RATE_HZ

        return int(clips.eeg.shape[2]) * RATE_HZ  # a patch lasts one second

    def _threads(self) -> AbstractContextManager[int | None]:
        """One thread on a CPU: the same bytes in any process, and folds run side by side."""
        from physiopipe.training.threads import one_thread

        return one_thread() if self._device.type == "cpu" else nullcontext()


class Steps:
    """Steps of an optimiser at a constant rate, gradients scaled to a norm first where one is given."""

    def __init__(
        self, optimiser: "torch.optim.Optimizer", weights: "Iterable[nn.Parameter]", norm: float | None
    ) -> None:
        self._optimiser, self._weights, self._norm = optimiser, list(weights), norm

    def step(self, loss: "Tensor") -> None:
        """One step down the gradient of `loss`."""
        from torch.nn.utils import clip_grad_norm_

        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._norm is not None:
            clip_grad_norm_(self._weights, self._norm)
        self._optimiser.step()

    def end_epoch(self) -> None:
        """Nothing changes from epoch to epoch."""
