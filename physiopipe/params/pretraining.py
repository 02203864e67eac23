"""`pretrain`: self-supervised training of the ECG encoder."""

from typing import Annotated, Literal

from pydantic import Field

from physiopipe.params.encoders import Encoder
from physiopipe.params.section import Count, LearningRate, Positive, Section, Share


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
    learning_rate: LearningRate = Field(5e-4, description="peak learning rate of AdamW")
    final_learning_rate: float = Field(1e-5, ge=0, description="learning rate at the end of the cosine")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up before the cosine")
    weight_decay: float = Field(5e-2, ge=0, description="AdamW's weight decay")
    clip_norm: Positive = Field(1.0, description="gradients are scaled down to this norm")
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="of training's products: float32, or bf16 (weights and loss stay float32) for a GPU"
    )
    held_out_share: float = Field(0.05, gt=0, lt=1, description="share of records (never windows) kept for validation")
    seed: int = Field(42, ge=0, description="seed of weights, order and masks")
