"""Windows as pretraining wants them: resident arrays, and an order that evens out records and rates."""

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from physiopipe.cohorts.registry import cohort
from physiopipe.files import sha256_file
from physiopipe.params import Params
from physiopipe.training.arrays import WindowArrays
from physiopipe.training.group import processes_here
from physiopipe.training.pretrain import PretrainFiles
from physiopipe.training.pretrain import pretrain as pretrain_encoder
from physiopipe.windows.encoder_input import preparation_text
from physiopipe.windows.held_out import held_out_records
from physiopipe.windows.store import StoredSamples, WindowStore


def pretrain_on_store(folder: Path, params: Params, files: PretrainFiles) -> None:
    """Pretrain on a cohort's windows, a share of its records held out; see `physiopipe.training.pretrain`."""
    store, known = WindowStore(folder), cohort(params.cohorts.pretraining)
    settings = params.pretrain
    memory_bytes = _memory_bytes() // 2 // processes_here()
    rates = tuple(rate for rate, weight in settings.rate_weights.items() if weight > 0)
    rows = store.rows("ecg", rates)
    held_out = held_out_records(store.index["record"].to_numpy()[rows].tolist(), settings.held_out_share, settings.seed)
    weights = window_weights(store.index.iloc[rows[~held_out]], settings.rate_weights)
    about = store.attributes("ecg", rates[0])
    provenance = {
        "cohort": f"simulated {known.title}" if store.manifest["simulated"] else f"{known.title}, {known.licence}",
        "records": str(store.index["record"].iloc[rows[~held_out]].nunique()),
        "channels": " ".join(about["channels"]),
        "unit": about["unit"],
        "rates_hz": " ".join(str(rate) for rate in rates),
        **preparation_text(params.filter[known.name]["ecg"], params.shard[known.name]["ecg"]),
        "windows_sha256": sha256_file(folder / "manifest.json"),
    }
    pretrain_encoder(
        load_windows(store, rows[~held_out], memory_bytes),
        lambda epoch: epoch_order(weights, settings.seed, epoch),
        load_windows(store, rows[held_out], memory_bytes),
        settings,
        params.run,
        files,
        provenance,
    )


def load_windows(store: WindowStore, rows: npt.NDArray[np.int64], memory_bytes: int | None = None) -> WindowArrays:
    """These rows of the index (one modality) for training: in memory where they fit, else mapped and read by batch.

    Args:
        memory_bytes: most that the samples may take in memory, in bytes; None: half of the machine's.
    """
    if memory_bytes is None:
        memory_bytes = _memory_bytes() // 2
    on_disk = StoredSamples(store, rows)
    if 2 * math.prod(on_disk.shape) <= memory_bytes:
        samples, scale, valid = store.gather(rows)
    else:
        samples = cast("npt.NDArray[np.int16]", on_disk)  # training indexes it by rows and asks no more of it
        scale, valid = store.scale_and_valid(rows)
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
        leads=_leads(store, index),
    )


def _leads(store: WindowStore, index: pd.DataFrame) -> tuple[str, ...]:
    if index.empty:
        return ()
    return tuple(store.attributes(str(index["modality"].iloc[0]), int(index["rate_hz"].iloc[0]))["channels"])


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def window_ids(index: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """uint64 (n,): a window's identity, from its record, modality, rate and start: not from its place in the store."""
    columns = (index[name].astype(str) for name in ("cohort", "record", "modality", "rate_hz", "start_s"))
    digests = (hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest() for key in zip(*columns, strict=True))
    return np.frombuffer(b"".join(digests), dtype=np.uint64).copy()


def window_weights(index: pd.DataFrame, rate_weights: Mapping[int, float]) -> npt.NDArray[np.float64]:
    """float64 (n,), summing to 1: a rate has its share, each record of that rate the same part of it."""
    weights = index["rate_hz"].map(rate_weights).fillna(0.0).to_numpy(np.float64)
    windows = index.groupby(["rate_hz", "record"], observed=True)["start_s"].transform("size")
    records = index.groupby("rate_hz", observed=True)["record"].nunique()
    weights = weights / (windows * index["rate_hz"].map(records)).to_numpy(np.float64)
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
