"""Reconstruction loss on held-out windows, whole and by rate and source; of the encoder, and without learning."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physiopipe.models.baselines import BASELINES, LIMB_IDENTITIES, LIMB_LEADS, predict_limb_identities
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.losses import PARTS, combine, named_terms, part_sums, part_targets
from physiopipe.models.masking import Masks, draw_masks
from physiopipe.models.normalisation import LeadScaling, lead_scaling, valid_patch_mask
from physiopipe.params import Pretrain
from physiopipe.training.arrays import WindowArrays, load_batch
from physiopipe.training.group import Group

HELD_OUT_STEP = -1  # keys the masks of evaluation: the same ones at every epoch, none of training's

Rows = npt.NDArray[np.int64]
Reconstruct = Callable[[Tensor, Masks, Rows], Tensor]  # windows, their masks, their rows → reconstructions
WindowParts = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]  # sums and counts, (4, n) each


def window_parts(
    reconstruct: Reconstruct,
    windows: WindowArrays,
    params: Pretrain,
    device: torch.device,
    stop: Callable[[], bool] = lambda: False,
) -> WindowParts | None:
    """Sums and counts of the loss's parts for each window, (4, n); None if `stop()` became true on the way."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(windows), params.batch_size):
            if stop():
                return None
            rows = np.arange(start, min(start + params.batch_size, len(windows)))
            batch = load_batch(windows, rows, params.normalisation, device)
            masks = draw_masks(params.masking, params.seed, HELD_OUT_STEP, batch.window_id, batch.valid)
            parts = part_sums(reconstruct(batch.x, masks, rows), batch.x, part_targets(masks, params.objective))
            found.append(torch.stack(parts).double().cpu().numpy())
    sums, counts = np.concatenate(found, axis=-1)
    return sums, counts


def encoder_parts(
    encoder: CrissCrossEncoder,
    windows: WindowArrays,
    params: Pretrain,
    device: torch.device,
    stop: Callable[[], bool] = lambda: False,
) -> WindowParts | None:
    """`window_parts` of the encoder in evaluation mode and float32; its mode is put back."""
    training = encoder.training
    encoder.eval()
    try:
        return window_parts(lambda x, masks, _: encoder(x, masks.replaced), windows, params, device, stop)
    finally:
        encoder.train(training)


def shared_encoder_parts(
    encoder: CrissCrossEncoder,
    windows: WindowArrays,
    params: Pretrain,
    group: Group,
    stop: Callable[[], bool] = lambda: False,
) -> WindowParts | None:
    """`encoder_parts` of all windows, in every process of the group; each computes its share of the batches."""
    count, size = len(windows), params.batch_size
    own = np.arange(count)[np.arange(count) // size % group.size == group.rank]
    sums, counts = np.zeros((2, len(PARTS), count))
    if len(own):
        share = windows if group.size == 1 else windows.part(own)
        found = encoder_parts(encoder, share, params, group.device, stop)
        if found is None:
            return None
        sums[:, own], counts[:, own] = found
    both = group.sum(torch.from_numpy(np.stack((sums, counts))).to(group.device))
    whole: npt.NDArray[np.float64] = both.cpu().numpy()
    return whole[0], whole[1]


def baselines(windows: WindowArrays, params: Pretrain) -> dict[str, Any]:
    """`nested` of each reconstruction without learning, on the same masks; limb identities where the leads allow."""
    names = [*BASELINES, LIMB_IDENTITIES] if windows.leads[: len(LIMB_LEADS)] == LIMB_LEADS else list(BASELINES)
    return {name: nested(_baseline_parts(name, windows, params), windows, params) for name in names}


def _baseline_parts(name: str, windows: WindowArrays, params: Pretrain) -> WindowParts:
    """`window_parts` of a reconstruction without learning."""

    def identities(x: Tensor, masks: Masks, rows: Rows) -> Tensor:
        return predict_limb_identities(x, masks, _scaling(windows, rows, params))

    reconstruct = identities if name == LIMB_IDENTITIES else lambda x, masks, _: BASELINES[name](x, masks)
    parts = window_parts(reconstruct, windows, params, torch.device("cpu"))
    assert parts is not None  # nothing asked it to stop
    return parts


def _scaling(windows: WindowArrays, rows: Rows, params: Pretrain) -> LeadScaling:
    samples = torch.from_numpy(np.ascontiguousarray(windows.samples[rows]))
    patches = torch.from_numpy(windows.valid_patches[rows].astype(np.int64))
    valid = valid_patch_mask(torch.from_numpy(windows.channel_mask[rows]), patches, samples.shape[2])
    return lead_scaling(samples, torch.from_numpy(windows.scale[rows]), valid, params.normalisation)


def by_group(
    parts: WindowParts, windows: WindowArrays, params: Pretrain
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Terms of the loss as (rate_hz, source, terms): all windows ("" and ""), each rate, each source, in order."""
    sums, counts = parts

    def terms(chosen: Any) -> dict[str, float]:
        sum_of_chosen, count_of_chosen = (torch.from_numpy(part[:, chosen].sum(-1)) for part in (sums, counts))
        return dict(named_terms(combine(sum_of_chosen, count_of_chosen, params.objective)))

    yield "", "", terms(slice(None))
    for rate in np.unique(windows.rate_hz):
        yield f"{rate:g}", "", terms(windows.rate_hz == rate)
    for source in np.unique(windows.source):
        yield "", str(source), terms(windows.source == source)


def nested(parts: WindowParts, windows: WindowArrays, params: Pretrain) -> dict[str, Any]:
    """The same as one JSON value: terms of all windows, and totals `by_rate_hz` and `by_source`."""
    content: dict[str, Any] = {}
    for rate, source, terms in by_group(parts, windows, params):
        if rate:
            content.setdefault("by_rate_hz", {})[rate] = terms["total"]
        elif source:
            content.setdefault("by_source", {})[source] = terms["total"]
        else:
            content.update(terms)
    return content
