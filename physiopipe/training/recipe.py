"""Parameters of a network's training, which the sections of methods that are trained in epochs are made from."""

from typing import Literal

from pydantic import Field

from physiopipe.params.section import Count, LearningRate, Positive, Section


class TrainingSettings(Section):
    """Epochs, batches, optimiser and schedule; the defaults are the paper's Table 2."""

    epochs: Count = Field(10, description="passes over the training windows")
    batch_size: Count = Field(8, description="windows of a step")
    recipe: Literal["table2", "two_rate"] = Field(
        "table2", description="table2: Adam and StepLR (paper, Table 2); two_rate: AdamW, encoders slower than the head"
    )
    learning_rate: LearningRate = Field(1e-3, description="initial learning rate of Adam (table2)")
    step_epochs: Count = Field(4, description="StepLR: epochs between reductions (table2)")
    step_gamma: Positive = Field(0.1, description="StepLR: factor of each reduction (table2)")
    backbone_learning_rate: LearningRate = Field(1e-4, description="peak rate of the encoders, cosine to 0 (two_rate)")
    head_learning_rate: LearningRate = Field(1e-3, description="peak rate of the head, cosine to 0 (two_rate)")
    weight_decay: float = Field(5e-2, ge=0, description="AdamW's weight decay (two_rate)")
