"""Windows as pretraining wants them: resident arrays, and an order that evens out records and rates."""

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.training.arrays import WindowArrays
from physiopipe.windows.store import WindowStore


def load_windows(store: WindowStore, rows: npt.NDArray[np.int64]) -> WindowArrays:
    """Read these rows of the index (one modality) into memory, as stored (int16)."""
    samples, scale, valid = store.gather(rows)
    index = store.index.iloc[rows]
    bits = index["channel_mask"].to_numpy(np.int64)
    return WindowArrays(
        samples=samples,
        scale=scale,
        valid_patches=valid,
        channel_mask=(bits[:, None] >> np.arange(samples.shape[1])) & 1 == 1,
        rate_hz=index["rate_hz"].to_numpy(np.int64),
        window_id=window_ids(index),
        source=index["source"].to_numpy(np.str_),
    )


def window_ids(index: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """uint64 (n,): a window's identity, from its record, modality, rate and start: not from its place in the store."""
    columns = (index[name].astype(str) for name in ("cohort", "record", "modality", "rate_hz", "start_s"))
    digests = (hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest() for key in zip(*columns, strict=True))
    return np.frombuffer(b"".join(digests), dtype=np.uint64).copy()


def window_weights(index: pd.DataFrame, rate_weights: Mapping[int, float]) -> npt.NDArray[np.float64]:
    """float64 (n,), summing to 1: a rate has its share, each record of that rate the same part of it."""
    weights = index["rate_hz"].map(rate_weights).fillna(0.0).to_numpy(np.float64)
    names = index[["rate_hz", "record"]].astype(str).agg("@".join, axis=1)
    weights = weights / names.map(names.value_counts()).to_numpy(np.float64)
    records = index.groupby("rate_hz", observed=True)["record"].nunique()
    weights /= index["rate_hz"].map(records).to_numpy(np.float64)
    total = weights.sum()
    if total <= 0:
        rates = sorted(index["rate_hz"].unique().tolist())
        raise ValueError(f"rate_weights {dict(rate_weights)} give no weight to the stored rates {rates}")
    normalised: npt.NDArray[np.float64] = weights / total
    return normalised


def epoch_order(weights: npt.NDArray[np.float64], seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Rows of one epoch, as many as there are windows, in training order: a function of (seed, epoch) alone.

    Systematic sampling: a window of weight w comes floor(n w) or ceil(n w) times, n w on average over epochs.
    """
    rng = np.random.default_rng([seed, epoch])
    count = len(weights)
    shuffled = rng.permutation(count)
    edges = np.cumsum(weights[shuffled]) * count
    edges[-1] = count
    drawn = shuffled[np.searchsorted(edges, np.arange(count) + rng.random(), side="right")]
    return rng.permutation(drawn)
