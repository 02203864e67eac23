"""A stand-in for Lin et al. 2023: a graph network over EEG channels that keeps a share of them.

Neither code nor sizes were published. From the abstract are 1-D convolutions within a channel, graph convolutions
between channels on functional connectivity, and selection of channels by attention at an adjustable ratio. That
connectivity is phase locking, and every size, is a choice of this project.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.clips.phase_locking import PhaseLocking, mean_phase_locking
from physiopipe.clips.resampled import RATE_HZ
from physiopipe.methods.base import Arrays, Setup, prevalence
from physiopipe.methods.clip_windows import ClipWindowsSettings
from physiopipe.methods.networks import NetworkMethod, kept_weights, weights_in
from physiopipe.methods.reductions import reductions
from physiopipe.params.section import Count, LearningRate

if TYPE_CHECKING:
    from physiopipe.clips.clip_data import F32
    from physiopipe.models.channel_graph import ChannelGraph
    from physiopipe.training.finetune import LabelledWindows


class LinStyleSettings(ClipWindowsSettings):
    """The graph network and its training; all defaults are this project's choices."""

    ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="share of the EEG channels that attention keeps; the abstract also names 0.2"
    )
    width: Annotated[int, Field(ge=2, multiple_of=2)] = Field(64, description="features of a channel")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="before the last layer, while training")
    epochs: Count = Field(50, description="at most; the best by validation people is kept")
    patience: Count = Field(10, description="epochs without a better one after which training ends")
    batch_size: Count = Field(64, description="windows of a step")
    learning_rate: LearningRate = Field(1e-3, description="of Adam")
    weight_decay: float = Field(1e-4, ge=0, description="of Adam")


class LinStyle(NetworkMethod):
    """Convolutions within channels, a graph with phase locking as prior between them, channels kept by attention."""

    name = "lin_style"
    title = "Lin-style graph network (stand-in)"
    note = (
        "Stand-in for Lin et al. 2023, who published no code and no sizes: not their method. EEG windows at 128 Hz, "
        "graph convolutions on phase locking of the training people, channels kept by attention; one network with an "
        "output a task; a clip's probability is the mean over windows."
    )
    Settings: ClassVar[type[LinStyleSettings]] = LinStyleSettings
    settings: LinStyleSettings
    inputs = ("eeg",)
    _network: "ChannelGraph"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._locking = PhaseLocking(setup.state_folder, self._windows)

    @property
    def provenance(self) -> str:
        notes = ["every size is a choice of this project", reductions(self.settings)]
        return f"stand-in: no code of the authors is public ({'; '.join(note for note in notes if note)})"

    @property
    def reads(self) -> str:
        return f"Reads EEG at {RATE_HZ} Hz, each channel of a window z-scored."

    @property
    def details(self) -> str:
        return f"Keeps {self.settings.ratio:.0%} of the EEG channels, anew for each window."

    def precompute(self, clips: ClipData) -> None:
        super().precompute(clips)
        self._locking.precompute(clips)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        import torch

        from physiopipe.training.patience import Plan, train_with_patience
        from physiopipe.training.threads import one_thread

        it = self.settings
        self._prevalence = prevalence(train)
        prior = mean_phase_locking(self._locking.of(train))
        windows, held_out = self._labelled(train), self._labelled(validation)
        of_device = [self._device] if self._device.type == "cuda" else []
        with one_thread(), torch.random.fork_rng(devices=of_device):
            torch.manual_seed(seed)
            network = self._new_network(prior, len(train.tasks)).to(self._device)
            optimiser = torch.optim.Adam(network.parameters(), lr=it.learning_rate, weight_decay=it.weight_decay)
            plan = Plan(it.epochs, it.batch_size, it.patience, it.draws)
            order = np.random.default_rng([seed, 1])
            self._curve = train_with_patience(network, windows, held_out, optimiser, plan, order)
        self._network = network
        return self

    def predict(self, test: ClipData) -> F64:
        import torch

        from physiopipe.training.finetune import probabilities
        from physiopipe.training.threads import one_thread

        there = _with_signal(test)
        found = np.full((len(there), len(self._prevalence)), np.nan)
        with one_thread():
            inputs = (torch.from_numpy(self._standardised(test)[there]),)
            found[there] = probabilities(self._network, inputs, len(self._prevalence), self._device)
        means = test.clip_means(found)
        # nothing is known of a clip without EEG
        return np.where(np.isnan(means), self._prevalence, means)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return kept_weights(self._network.state_dict()) | {"prevalence": self._prevalence}, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        import torch

        self._prevalence = arrays["prevalence"]
        weights = weights_in(arrays)
        with torch.random.fork_rng(devices=[]):
            self._network = self._new_network(weights["connectivity"].numpy(), len(self._prevalence))
        self._network.load_state_dict(weights)
        self._network.to(self._device)
        self._curve = []
        return self

    def _new_network(self, prior: "F32", tasks: int) -> "ChannelGraph":
        """The network untrained, its weights drawn from torch's generator."""
        import torch

        from physiopipe.models.channel_graph import ChannelGraph

        it = self.settings
        connectivity = torch.from_numpy(prior)
        return ChannelGraph(connectivity, ratio=it.ratio, classes=tasks, width=it.width, dropout=it.dropout)

    def _labelled(self, clips: ClipData) -> "LabelledWindows":
        """The windows with signal and the labels of their clips."""
        import torch

        from physiopipe.training.finetune import LabelledWindows

        there = _with_signal(clips)
        clip_of = clips.clip_of[there]
        labels = torch.from_numpy(clips.labels[clip_of].astype(np.float32))
        return LabelledWindows((torch.from_numpy(self._standardised(clips)[there]),), labels, clip_of)

    def _standardised(self, clips: ClipData) -> "F32":
        """EEG windows (w, C, P · 128), each channel to mean 0 and SD 1 over its valid samples; 0 elsewhere."""
        windows = self._windows.of(clips, "eeg")
        samples = clips.valid_patches * RATE_HZ
        valid = np.arange(windows.shape[2]) < samples[:, None, None]
        count = np.maximum(samples, 1)[:, None, None]
        centred = np.where(valid, windows - windows.sum(axis=2, keepdims=True) / count, 0.0)
        spread = np.sqrt(np.square(centred).sum(axis=2, keepdims=True) / count)
        found: F32 = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9).astype(np.float32)
        return found


def _with_signal(clips: ClipData) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """bool (w,): whether a window has an EEG channel and a valid patch."""
    found: np.ndarray[Any, np.dtype[np.bool_]] = clips.eeg_present.any(axis=1) & (clips.valid_patches > 0)
    return found
