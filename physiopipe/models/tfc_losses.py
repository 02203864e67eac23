"""The losses of TF-C (Zhang et al., NeurIPS 2022, arXiv 2206.08496): of pretraining and of fine-tuning.

The defaults are what the authors' code trains; where the paper differs, a keyword chooses.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from physiopipe.models.contrastive import Form, nt_xent
from physiopipe.models.tfc import Embeddings

Consistency = Literal["pair", "triplet"]
ContrastOn = Literal["encoder", "projection"]

_MARGIN = 1.0  # delta of the paper's consistency loss


class TFCLosses(NamedTuple):
    """Scalars: contrast within each domain, consistency between them, and the loss to minimise."""

    time: Tensor
    frequency: Tensor
    consistency: Tensor
    total: Tensor


def pretraining_loss(
    clean: Embeddings,
    augmented: Embeddings,
    *,
    temperature: float = 0.2,
    form: Form = "poly",
    contrast_on: ContrastOn = "encoder",
    consistency: Consistency = "pair",
    contrast_weight: float = 0.2,
    consistency_weight: float = 1.0,
) -> TFCLosses:
    """The loss of B series and their augmented versions: contrast_weight (time + frequency) + consistency.

    Args:
        form: of NT-Xent, see `nt_xent`.
        contrast_on: what is compared within a domain: encoder outputs (paper and code) or projections.
        consistency: pair: NT-Xent of the projections of time and frequency, as the authors' code trains; triplet: the
            paper's loss (computed in the code, not used), sum of 1 + pair - l, where l is the same with one of the two
            or both augmented.
    """
    time, frequency = _contrast(clean, augmented, temperature, form, contrast_on)
    between = nt_xent(clean.z_time, clean.z_frequency, temperature, form)
    if consistency == "triplet":
        others = (
            nt_xent(clean.z_time, augmented.z_frequency, temperature, form),
            nt_xent(augmented.z_time, clean.z_frequency, temperature, form),
            nt_xent(augmented.z_time, augmented.z_frequency, temperature, form),
        )
        between = torch.stack([_MARGIN + between - other for other in others]).sum()
    return TFCLosses(time, frequency, between, contrast_weight * (time + frequency) + consistency_weight * between)


def finetuning_loss(
    logits: Tensor,
    labels: Tensor,
    first: Embeddings,
    second: Embeddings,
    *,
    temperature: float = 0.2,
    form: Form = "poly",
    contrast_weight: float = 0.1,
) -> TFCLosses:
    """Cross entropy of logits (B, classes) and labels (B,) int64, plus the losses of pretraining.

    first, second: two passes of the same series, which differ by dropout: the authors augment nothing here. The total
    is cross entropy + consistency (pair) + contrast_weight (time + frequency).
    """
    time, frequency = _contrast(first, second, temperature, form, "encoder")
    between = nt_xent(first.z_time, first.z_frequency, temperature, form)
    total = functional.cross_entropy(logits, labels) + between + contrast_weight * (time + frequency)
    return TFCLosses(time, frequency, between, total)


def _contrast(
    one: Embeddings, other: Embeddings, temperature: float, form: Form, on: ContrastOn
) -> tuple[Tensor, Tensor]:
    if on == "projection":
        return (
            nt_xent(one.z_time, other.z_time, temperature, form),
            nt_xent(one.z_frequency, other.z_frequency, temperature, form),
        )
    return (
        nt_xent(one.h_time, other.h_time, temperature, form),
        nt_xent(one.h_frequency, other.h_frequency, temperature, form),
    )
