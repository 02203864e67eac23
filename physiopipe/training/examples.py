"""Some held-out windows with their reconstructions, kept as arrays for the report to draw."""

from pathlib import Path

import numpy as np
import torch

from physiopipe.files import atomic_file
from physiopipe.models.baselines import predict_interpolation
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.masking import draw_masks
from physiopipe.params import Pretrain
from physiopipe.training.arrays import WindowArrays, load_batch
from physiopipe.training.evaluation import HELD_OUT_STEP


def example_rows(windows: WindowArrays) -> list[int]:
    """One window of each rate, of as many sources as there are; which one is decided by window ids alone.

    Windows with more valid patches and leads go before others.
    """
    chosen: list[int] = []
    used: set[str] = set()
    for rate in np.unique(windows.rate_hz):
        rows = np.flatnonzero(windows.rate_hz == rate)
        order = sorted(
            rows.tolist(),
            key=lambda row: (
                -int(windows.valid_patches[row]),
                -int(windows.channel_mask[row].sum()),
                str(windows.source[row]) in used,
                int(windows.window_id[row]),
            ),
        )
        chosen.append(order[0])
        used.add(str(windows.source[order[0]]))
    return chosen


def write_examples(
    path: Path, encoder: CrissCrossEncoder, windows: WindowArrays, params: Pretrain, device: torch.device
) -> None:
    """Write `example_rows` of held-out windows as an .npz of plain arrays; equal windows and weights, equal bytes.

    truth, encoder, interpolation: float32 (n, C, P, 200), normalised as the encoder sees it; replaced, valid: bool
    (n, C, P); rate_hz (n,); source, normalisation, leads: text. Masks are those of every evaluation.
    """
    rows = np.array(example_rows(windows), dtype=np.int64)
    batch = load_batch(windows, rows, params.normalisation, device)
    masks = draw_masks(params.masking, params.seed, HELD_OUT_STEP, batch.window_id, batch.valid)
    training = encoder.training
    encoder.eval()
    try:
        with torch.inference_mode():
            reconstructed = encoder(batch.x, masks.replaced)
    finally:
        encoder.train(training)
    names = windows.leads or tuple(f"lead {number}" for number in range(1, batch.x.shape[1] + 1))
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(
            handle,
            truth=batch.x.cpu().numpy(),
            encoder=reconstructed.float().cpu().numpy(),
            interpolation=predict_interpolation(batch.x, masks).cpu().numpy(),
            replaced=masks.replaced.cpu().numpy(),
            valid=masks.valid.cpu().numpy(),
            rate_hz=np.asarray(windows.rate_hz[rows], np.int64),
            source=np.asarray(windows.source[rows], np.str_),
            leads=np.array(names, np.str_),
            normalisation=np.array(params.normalisation, np.str_),
        )
