"""Which frozen GPT-2 a method rests on: its section of the parameters, where it is loaded from, what a table says."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file
from physiopipe.params.section import Count, Section

if TYPE_CHECKING:
    from physiopipe.models.gpt2 import Gpt2

_BYTES_AND_END = 257  # tokens of a GPT-2 with random weights, which knows no words


class Gpt2Settings(Section):
    """Where the GPT-2 comes from that stays frozen."""

    origin: Literal["random", "hub", "folder"] = Field(
        "hub", description="random: untrained weights (the table says so); hub: Hugging Face; folder: a local one"
    )
    path: str = Field("models/gpt2", description="folder with config.json and *.safetensors (origin: folder)")
    repository: str = Field("openai-community/gpt2", description="Hugging Face repository (origin: hub)")
    revision: str = Field(
        "607a30d783dfa663caf39e06633721c8d4cfcd7e", description="pinned revision: a branch, tag or commit (origin: hub)"
    )
    layers: Count = Field(6, description="blocks: the first ones of a pretrained GPT-2 (published: 6 of 12)")
    width: Count = Field(768, description="width of a token (origin: random; a pretrained GPT-2 has its own)")
    heads: Count = Field(12, description="attention heads (origin: random; a pretrained GPT-2 has its own)")
    seed: int = Field(
        0, ge=0, description="of random weights: the same for all folds and seeds, as pretrained ones are"
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.origin == "random" and self.width % self.heads:
            raise ValueError(f"width {self.width} with {self.heads} heads: expected a multiple of the heads")
        return self


class Gpt2Source:
    """The GPT-2 that settings name, loaded when first needed; copies of a method share it."""

    def __init__(self, settings: Gpt2Settings) -> None:
        self._settings = settings

    @cached_property
    def loaded(self) -> "Gpt2":
        """The body, on the CPU, and its tokenizer.

        Raises:
            PhysiopipeError: transformers is not installed, or there is no such GPT-2, see `load_gpt2`.
        """
        import torch

        from physiopipe.models.gpt2 import Gpt2Sizes, load_gpt2, random_gpt2

        it = self._settings
        if it.origin == "folder":
            return load_gpt2(self._folder(), layers=it.layers)
        if it.origin == "hub":
            if Path(it.repository).is_dir():
                raise PhysiopipeError(
                    f"gpt2.repository is {it.repository!r}, which is a folder here, and gpt2.origin is hub: set the "
                    "origin to folder and gpt2.path to it, or name a repository."
                )
            return load_gpt2(it.repository, revision=it.revision, layers=it.layers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(it.seed)
            return random_gpt2(Gpt2Sizes(it.layers, it.width, it.heads, vocabulary=_BYTES_AND_END))

    def fingerprint(self) -> Any:
        """What settings do not say of it, as a JSON value: digests of a folder's files."""
        if self._settings.origin != "folder":
            return None
        from physiopipe.models.gpt2 import FILES

        folder = self._folder()
        files = sorted({path for pattern in FILES for path in folder.glob(pattern)})
        return {path.name: sha256_file(path) for path in files}

    def told(self) -> str:
        """What a reader of the table must know of it."""
        it = self._settings
        if it.origin == "random":
            return f"GPT-2 random, not pretrained: {it.layers} layers, width {it.width}, {it.heads} heads"
        which = f"{it.repository}@{it.revision[:8]}" if it.origin == "hub" else f"of the folder {Path(it.path).name}"
        return f"GPT-2 {which}, pretrained on text: its first {it.layers} layers"

    def _folder(self) -> Path:
        folder = Path(self._settings.path)
        if not folder.is_dir():
            raise PhysiopipeError(
                f"gpt2.path is {folder}, and there is no such folder: expected one with config.json and *.safetensors. "
                "Put a GPT-2 there, or set gpt2.origin to hub or random."
            )
        return folder
