"""`pretrain` and `finetune`: encoders, their weights and their training."""

from typing import Annotated, Literal

from pydantic import Field

from physiopipe.params.section import Count, Positive, Section, Share


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


class Masking(Section):
    """Dual masking (paper section 2.1, eq. 2)."""

    patch_ratio: Share = Field(0.5, description="r: probability that a patch is masked")
    channel_ratio: Share = Field(0.25, description="r_c: share of leads masked whole; 0: none")


class Objective(Section):
    """Reconstruction loss (paper eq. 4-5); readings of what the paper leaves open."""

    patch_weight: float = Field(0.5, ge=0, description="weight of the patch loss in eq. 5")
    channel_weight: float = Field(0.5, ge=0, description="weight of the channel loss in eq. 5")
    patch_targets: Literal["replaced", "bernoulli"] = Field(
        "replaced", description="patch loss over every replaced patch (CBraMod), or over the Bernoulli mask alone"
    )
    visible_weight: Share = Field(
        0.0, description="share of the patch loss over patches that were not replaced (the inverse mask)"
    )


class Pretrain(Section):
    encoder: Encoder = Encoder()
    masking: Masking = Masking()
    objective: Objective = Objective()
    normalisation: Literal["lead_zscore", "record_zscore", "millivolt"] = Field(
        "lead_zscore", description="scale of the encoder's input; valid samples only"
    )
    rate_weights: dict[int, Annotated[float, Field(ge=0)]] = Field(
        {100: 1.0, 200: 1.0, 500: 1.0, 1000: 1.0}, description="how often each rate is drawn; every record counts once"
    )
    epochs: Count = Field(40, description="passes over the training windows")
    batch_size: Count = Field(128, description="windows of a step, over all devices")
    learning_rate: Positive = Field(5e-4, description="peak learning rate of AdamW")
    final_learning_rate: float = Field(1e-5, ge=0, description="learning rate at the end of the cosine")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up before the cosine")
    weight_decay: float = Field(5e-2, ge=0, description="AdamW's weight decay")
    clip_norm: Positive = Field(1.0, description="gradients are scaled down to this norm")
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="of training's products: float32, or bfloat16 (weights and loss stay float32) for a GPU"
    )
    held_out_share: float = Field(0.05, gt=0, lt=1, description="share of records (never windows) kept for validation")
    seed: int = Field(42, ge=0, description="seed of weights, order and masks")


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


class Finetune(Section):
    """The two-encoder fusion and its training (paper section 2.2 and Table 2)."""

    eeg_encoder: Encoder = Encoder()
    eeg_weights: Weights = Weights()
    eeg_scale_uv: Positive = Field(100.0, description="EEG input is divided by this many microvolts (CBraMod)")
    last_s: Positive = Field(60.0, description="part of a clip that is used: its last seconds")
    high_from: Literal[3, 4] = Field(3, description="ratings from here on are high (paper: 3; DREAMER's authors: 4)")
    pooling: Literal["channels_and_patches", "channels"] = Field(
        "channels_and_patches", description="what an encoder's output is averaged over: 200-d, or 2000-d a modality"
    )
    standardise: bool = Field(
        True, description="z-score embeddings by the training subjects' windows before the head; the paper says nothing"
    )
    frozen: bool = Field(True, description="train the head alone on embeddings computed once, or everything")
    epochs: Count = Field(10, description="passes over the training windows")
    batch_size: Count = Field(8, description="windows of a step")
    recipe: Literal["table2", "two_rate"] = Field(
        "table2", description="table2: Adam and StepLR (paper, Table 2); two_rate: AdamW, encoders slower than the head"
    )
    learning_rate: Positive = Field(1e-3, description="initial learning rate of Adam (table2)")
    step_epochs: Count = Field(4, description="StepLR: epochs between reductions (table2)")
    step_gamma: Positive = Field(0.1, description="StepLR: factor of each reduction (table2)")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description="dropout of the classification head")
    hidden: Count = Field(200, description="hidden width of the feed-forward head")
    backbone_learning_rate: Positive = Field(1e-4, description="peak rate of the encoders, cosine to 0 (two_rate)")
    head_learning_rate: Positive = Field(1e-3, description="peak rate of the head, cosine to 0 (two_rate)")
    weight_decay: float = Field(5e-2, ge=0, description="AdamW's weight decay (two_rate)")
    modality_dropout: Share = Field(
        0.3, description="mixture: share of training windows that lose a modality, EEG or ECG alike"
    )
    shared_encoder: bool = Field(False, description="embed the EEG with the ECG encoder too: one for both modalities")
    train_share: float = Field(1.0, gt=0, le=1, description="share of each fold's training subjects that is used")
