"""Parameters of the methods that are made from two encoders: what is read from the encoders, and what is done then."""

from typing import Annotated, Literal

from pydantic import Field

from physiopipe.params.section import Count, Positive, Section
from physiopipe.training.recipe import TrainingSettings

Pooling = Literal["channels_and_patches", "channels", "mean_and_sd", "per_channel", "attention"]


class ReadOut(Section):
    """What is read from the encoders, and the head that is put on it."""

    pooling: Pooling = Field(
        "channels_and_patches",
        description="what an encoder's output is averaged over (channels: the paper's words, one embedding a patch); "
        "mean_and_sd of the patches; per_channel: one a channel; attention: learned weights of patches and channels",
    )
    layer: Annotated[int, Field(ge=0)] | None = Field(
        None, description="layer whose output is taken, of both encoders: 0 the patch embedding; null: the last"
    )
    head: Literal["network", "logistic"] = Field(
        "network", description="the paper's feed-forward head, or logistic regression, one a task"
    )
    eeg_scale: Literal["fixed", "rms"] = Field(
        "fixed",
        description="divide the EEG by encoders.eeg_scale_uv, or, where its encoder has no weights, by the RMS of the "
        "training subjects' EEG, to two digits",
    )
    eeg_amplitude: bool = Field(False, description="give the head the log amplitude of each EEG channel too")
    ecg_amplitude: bool = Field(False, description="give the head the log amplitude of each ECG lead too")


class FusionSettings(TrainingSettings, ReadOut):
    """Two encoders, their fusion and its training (paper section 2.2 and Table 2)."""

    choose: tuple[ReadOut, ...] = Field(
        (), description="fit each of these in place of the values above; the best validation AUC of a fold wins"
    )
    inverse_regularisations: Annotated[tuple[Positive, ...], Field(min_length=1)] = Field(
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
        description="C of the L2 penalty (head: logistic); each task's is the one of the best validation AUC",
    )
    standardise: bool = Field(
        True, description="z-score embeddings by the training subjects' windows before the head; the paper says nothing"
    )
    frozen: bool = Field(True, description="train the head alone on embeddings computed once, or everything")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description="dropout of the classification head")
    hidden: Count = Field(200, description="hidden width of the feed-forward head")
    shared_encoder: bool = Field(False, description="embed the EEG with the ECG encoder too: one for both modalities")
    untrained_seed: Annotated[int, Field(ge=0)] | None = Field(
        0, description="which draw an untrained encoder is; null: a draw of its own for each of evaluate.seeds"
    )

    @property
    def read_outs(self) -> tuple[ReadOut, ...]:
        """What is fitted: one, or those to choose from."""
        own = ReadOut.model_validate({name: getattr(self, name) for name in ReadOut.model_fields})
        return self.choose or (own,)
