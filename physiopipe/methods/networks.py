"""What rows share whose networks have weights of their own and read signals at 128 Hz."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from physiopipe.clips.clip_data import ClipData, Modality
from physiopipe.clips.resampled import ResampledWindows
from physiopipe.methods.base import Arrays, Method, Setup
from physiopipe.params.section import Section
from physiopipe.training.curve import CurvePoint

if TYPE_CHECKING:
    from torch import Tensor, device, nn

_WEIGHTS = "network."  # before the names of weights


class NetworkMethod(Method):
    """One network, on the GPU where there is one, from stored windows brought to 128 Hz."""

    inputs: ClassVar[tuple[Modality, ...]]
    libraries = ("numpy", "scipy", "torch")
    settings: Section
    _network: "nn.Module"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        from physiopipe.training.device import choose_device

        self.settings = setup.section(self.name, self.Settings)
        self._windows = ResampledWindows(setup.state_folder)
        self._device: device = choose_device(setup.params.run)
        self._curve: list[CurvePoint] = []

    @property
    def trained_parameters(self) -> int:
        return sum(weight.numel() for weight in self._network.parameters())

    def fingerprint(self) -> dict[str, Any]:
        return {"settings": self.settings.model_dump(mode="json"), "device": self._device.type}

    def precompute(self, clips: ClipData) -> None:
        self._windows.precompute(clips, self.inputs)

    def workers(self, runs: int, cores: int) -> int:
        import torch

        return min(torch.cuda.device_count() if self._device.type == "cuda" else cores, runs)

    def curve(self) -> list[CurvePoint]:
        return self._curve


def kept_weights(weights: "Mapping[str, Tensor]") -> Arrays:
    """Weights as arrays of a method's state."""
    return {f"{_WEIGHTS}{name}": weight.detach().cpu().numpy() for name, weight in weights.items()}


def weights_in(arrays: Arrays) -> "dict[str, Tensor]":
    """The weights in a method's state, see `kept_weights`."""
    import torch

    named = {name.removeprefix(_WEIGHTS): value for name, value in arrays.items() if name.startswith(_WEIGHTS)}
    return {name: torch.from_numpy(value) for name, value in named.items()}
