"""Ours with an EEG encoder that each fold pretrains, without labels, on its training subjects' own EEG."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from physiopipe import cpu_time
from physiopipe.checksums import read_kept, seal
from physiopipe.clips.clip_data import ClipData
from physiopipe.code_digest import code_digest, library_versions
from physiopipe.errors import PhysiopipeError
from physiopipe.files import hold_lock, sha256_file, sha256_json
from physiopipe.methods.base import Arrays, Setup
from physiopipe.methods.fusion_settings import FusionSettings, ReadOut
from physiopipe.methods.ours import Ours
from physiopipe.params.section import Count

if TYPE_CHECKING:
    from physiopipe.clips.embeddings import Encoders

_PREFIX = "in_domain."  # of the names of the encoder's weights in `state`


class InDomainSettings(FusionSettings):
    """Ours, and how its EEG encoder is pretrained; masking, objective and optimiser are those of `pretrain`."""

    eeg_scale: Literal["fixed", "rms"] = Field(
        "rms", description="divide the EEG by the RMS of the training subjects' EEG, or by encoders.eeg_scale_uv"
    )
    pretrain_epochs: Count = Field(20, description="passes over the training subjects' windows")
    pretrain_batch_size: Count = Field(8, description="windows of a pretraining step")


class InDomain(Ours):
    """The EEG encoder starts from nothing in each fold and sees the windows of the fold's training subjects alone.

    Validation and test subjects' EEG is not used. What is pretrained is kept by the content of those windows: seeds and
    read-outs with the same training subjects share it.
    """

    name = "in_domain"
    title = "Ours, EEG encoder pretrained in each fold"
    note = "Ours with an EEG encoder pretrained, without labels, on the EEG of each fold's training subjects."
    Settings: ClassVar[type[InDomainSettings]] = InDomainSettings

    def __init__(self, setup: Setup) -> None:
        given = setup.params.encoders
        untrained = given.eeg_weights.model_copy(update={"origin": "none"})  # weights that are given are not used
        encoders = given.model_copy(update={"eeg_weights": untrained})
        super().__init__(replace(setup, params=setup.params.with_section(encoders=encoders)))
        if self.settings.shared_encoder:
            raise PhysiopipeError(f"method.{self.name}: the EEG has an encoder of its own: expected no shared_encoder.")
        self._path: Path | None = None

    @property
    def provenance(self) -> str:
        return super().provenance.replace("EEG encoder untrained", "EEG encoder pretrained in each fold")

    @property
    def encoders(self) -> dict[str, str]:
        epochs = self._own.pretrain_epochs
        words = f"pretrained without labels on the EEG of each fold's training subjects, {epochs} epochs"
        return super().encoders | {"eeg": words}

    @property
    def trained_parameters(self) -> int:
        """Those of the heads, and of the EEG encoder, which each fold trains."""
        own = self._encoders.encoder("eeg").parameters() if self.settings.frozen else ()
        return super().trained_parameters + sum(weight.numel() for weight in own)

    def fingerprint(self) -> dict[str, Any]:
        return super().fingerprint() | {"pretrain": self._recipe()}

    def precompute(self, clips: ClipData) -> None:
        """Nothing: what the EEG is embedded by is known in a fold alone."""

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        from physiopipe.models.weights import read_tensors

        arrays, about = super().state()
        assert self._path is not None
        kept = read_tensors(self._path)
        return arrays | {_PREFIX + name: value.numpy() for name, value in kept.items()}, about | {
            "in_domain": self._path.stem
        }

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        import torch

        from physiopipe.models.weights import save_tensors

        own = {name: value for name, value in arrays.items() if name.startswith(_PREFIX)}
        super().restore({name: value for name, value in arrays.items() if name not in own}, about)
        self._path = self._folder / f"{about['in_domain']}.safetensors"
        if read_kept(self._path) is None:
            weights = {name.removeprefix(_PREFIX): torch.from_numpy(value) for name, value in own.items()}
            save_tensors(self._path, weights, {})
            seal(self._path)
        self._encoders = self._with_weights(self._encoders, self._read_out, self._path)
        return self

    def _encoders_of_fold(self, read_out: ReadOut, train: ClipData, seed: int) -> "Encoders":
        untrained = super()._encoders_of_fold(read_out, train, seed)
        self._path = self._pretrained(train, untrained.choice.eeg_scale_uv)
        return self._with_weights(untrained, read_out, self._path)

    def _with_weights(self, encoders: "Encoders", read_out: ReadOut, path: Path) -> "Encoders":
        own = {"origin": "file", "path": str(path), "sha256": sha256_file(path)}
        weights = self.setup.params.encoders.eeg_weights.model_copy(update=own)
        choice = encoders.choice
        return self._fused.encoders(read_out, eeg_weights=weights, eeg_scale_uv=choice.eeg_scale_uv, draw=choice.draw)

    def _pretrained(self, train: ClipData, scale_uv: float) -> Path:
        """The file of the encoder that these subjects' windows give: a kept one, or a new one."""
        from physiopipe.clips.embeddings import eeg_input
        from physiopipe.models.weights import save_encoder
        from physiopipe.training.in_domain import pretrain_in_memory
        from physiopipe.training.threads import one_thread

        content = {
            "pretrain": self._recipe(),
            "windows": [digest.decode() for digest in train.digests("eeg").tolist()],
            "scale_uv": scale_uv,
            "device": self._device.type,
            "code": code_digest(pretrain_in_memory.__module__),
            "libraries": library_versions(["numpy", "torch"]),
        }
        path = self._folder / f"{sha256_json(content)}.safetensors"
        with hold_lock(path.with_suffix(".lock")):
            if read_kept(path) is not None:
                cpu_time.found_stage(path)
            else:
                with cpu_time.computing_stage(path), one_thread():  # the same bytes in any process
                    encoder = pretrain_in_memory(
                        *eeg_input(train, scale_uv), self._settings_of_pretraining, self._device
                    )
                save_encoder(path, encoder, {})
                seal(path)
        return path

    @property
    def _folder(self) -> Path:
        return self.setup.state_folder / "in_domain"

    @property
    def _own(self) -> InDomainSettings:
        assert isinstance(self.settings, InDomainSettings)
        return self.settings

    @property
    def _settings_of_pretraining(self) -> Any:
        sizes = self.setup.params.encoders.eeg
        own = {"encoder": sizes, "epochs": self._own.pretrain_epochs, "batch_size": self._own.pretrain_batch_size}
        return self.setup.params.pretrain.model_copy(update=own)

    def _recipe(self) -> dict[str, Any]:
        content: dict[str, Any] = self._settings_of_pretraining.model_dump(mode="json")
        return content
