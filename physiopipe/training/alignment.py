"""An ECG encoder drawn to what a frozen EEG encoder makes of the same windows, without labels."""

from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.models.alignment import TwoLevelAlignment
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.fusion import patch_embeddings
from physiopipe.training.clip_draws import ALL_WINDOWS, ClipDraws

RATE_HZ = 200
LOWER_RATES_HZ = (100, 128, 160)

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AlignmentPlan:
    """How an encoder is aligned; Adam.

    Attributes:
        epochs, batch_size, learning_rate: of the training.
        of_one_clip: windows of a clip in a batch, at most.
        resampled_share: probability that an ECG window is brought to a lower rate and back.
        projected, temperature: see `TwoLevelAlignment`.
        draws: how many windows of a clip an epoch takes.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    of_one_clip: int
    resampled_share: float
    projected: int
    temperature: float
    draws: ClipDraws = ALL_WINDOWS


def align(
    encoder: CrissCrossEncoder,
    eeg: Tensor,
    ecg: Tensor,
    ecg_valid: Tensor,
    clip_of: I64,
    plan: AlignmentPlan,
    order: np.random.Generator,
) -> list[float]:
    """Train the ECG encoder where it is; the mean loss of each epoch. The last epoch is kept: no label is looked at.

    Args:
        eeg: (w, P, d), the EEG encoder's patch embeddings; 0 where a patch has no signal.
        ecg: (w, L, P, 200), as the encoder takes it, at 200 Hz.
        ecg_valid: bool (w, L, P).
        clip_of: int64 (w,), the clip of each window.
        order: draws batches and rates; the projections' weights and dropout draw from torch's generator.

    Raises:
        PhysiopipeError: a loss that is not finite.
    """
    device = next(encoder.parameters()).device
    heads = TwoLevelAlignment((eeg.shape[-1], encoder.sizes.width), plan.projected, plan.temperature).to(device)
    optimiser = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=plan.learning_rate)
    both = (eeg != 0).any(-1) & ecg_valid.any(1)
    usable = np.flatnonzero(both.any(1).numpy())
    encoder.train()
    means = []
    for epoch in range(1, plan.epochs + 1):
        losses = []
        shown_rows = usable
        if plan.draws.epoch is not None:
            shown_rows = usable[np.sort(plan.draws.epoch_rows(order, clip_of[usable]))]
        for batch in capped_batches(clip_of[shown_rows], plan.batch_size, plan.of_one_clip, order):
            if len(batch) < 2:  # nothing to tell it from
                continue
            rows = torch.from_numpy(shown_rows[batch])
            shown = torch.where(
                ecg_valid[rows].unsqueeze(-1), resampled_at_random(ecg[rows], plan.resampled_share, order), 0.0
            )
            found = patch_embeddings(encoder, shown.to(device), ecg_valid[rows].to(device))
            loss = heads(eeg[rows].to(device), found, both[rows].to(device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        means.append(float(np.mean(losses)) if losses else 0.0)
        if not np.isfinite(means[-1]):
            raise PhysiopipeError(f"The alignment's loss is {means[-1]} in epoch {epoch}: lower align_learning_rate.")
    return means


def capped_batches(clip_of: I64, size: int, most: int, order: np.random.Generator) -> list[I64]:
    """All rows in random order, in batches of up to `size` with at most `most` rows of a clip each.

    A row that finds its clip full waits for the next batch, so that some batches are smaller.
    """
    waiting = order.permutation(len(clip_of)).tolist()
    batches: list[I64] = []
    while waiting:
        taken: list[int] = []
        left: list[int] = []
        counts: dict[int, int] = {}
        for row in waiting:
            clip = int(clip_of[row])
            if len(taken) < size and counts.get(clip, 0) < most:
                taken.append(row)
                counts[clip] = counts.get(clip, 0) + 1
            else:
                left.append(row)
        batches.append(np.array(taken, dtype=np.int64))
        waiting = left
    return batches


def resampled_at_random(windows: Tensor, share: float, order: np.random.Generator) -> Tensor:
    """Windows (B, L, P, 200) at 200 Hz, a share of which were brought to 100, 128 or 160 Hz and back.

    Their bandwidth alone changes. Polyphase filter of `scipy.signal.resample_poly`, a sinc under a Kaiser window.
    """
    from scipy.signal import resample_poly

    chosen = order.random(len(windows)) < share
    rates = order.choice(LOWER_RATES_HZ, len(windows))
    found = windows.clone()
    for rate in LOWER_RATES_HZ:
        rows = torch.from_numpy(np.flatnonzero(chosen & (rates == rate)))
        if len(rows):
            up, down = rate // gcd(rate, RATE_HZ), RATE_HZ // gcd(rate, RATE_HZ)
            flat = windows[rows].flatten(2).numpy()
            lower = resample_poly(flat, up, down, axis=-1, padtype="line")
            back = resample_poly(lower, down, up, axis=-1, padtype="line")[..., : flat.shape[-1]]
            found[rows] = torch.from_numpy(np.ascontiguousarray(back, dtype=np.float32)).view(windows[rows].shape)
    return found
