"""`encoders`: the two criss-cross encoders that methods share, and where their weights come from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from physiopipe.params.section import Count, Positive, Section


class Encoder(Section):
    """Sizes of the criss-cross encoder; the defaults are CBraMod's."""

    layers: Count = Field(12, description="criss-cross transformer layers")
    width: Count = Field(200, description="embedding width d")
    feedforward: Count = Field(800, description="width of the feed-forward layers")
    heads: int = Field(8, ge=2, multiple_of=2, description="attention heads, half over channels, half over patches")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="dropout while training")
    position_kernel: tuple[Count, Count] = Field(
        (19, 7), description="depth-wise positional convolution over (channel, patch); odd sizes"
    )


class Weights(Section):
    """Pretrained weights of the EEG encoder."""

    origin: Literal["none", "hub", "file"] = Field(
        "hub", description="none: untrained (the table says so); hub: Hugging Face; file: a local .pth or .safetensors"
    )
    path: str = Field("models/cbramod_pretrained_weights.pth", description="the local file (origin: file)")
    repository: str = Field("weighting666/CBraMod", description="Hugging Face repository (origin: hub)")
    filename: str = Field("pretrained_weights.pth", description="file in that repository")
    revision: str = Field("main", description="pinned revision: a branch, tag or commit")
    sha256: str = Field(
        "0792cb808c14e6b7a2bb2ce1dff379bc47bc54c49a779825bdfeb33bf8157178", description="expected sha256 of the file"
    )

    def of_another_file(self, path: Path, found: str) -> str | None:
        """What to say of a file (origin: file) of this sha256; None where it is the one that is expected."""
        if found == self.sha256:
            return None
        return (
            f"{path} is not the file that encoders.eeg_weights.sha256 names: its sha256 is {found}, expected "
            f"{self.sha256}. Name another file or, if these are the EEG weights that you mean, write its sha256 there."
        )


class Encoders(Section):
    """The EEG encoder that methods share; the ECG encoder is the one of `pretrain`."""

    eeg: Encoder = Encoder()
    eeg_weights: Weights = Weights()
    eeg_scale_uv: Positive = Field(100.0, description="EEG input is divided by this many microvolts (CBraMod)")
