"""How many windows of real recordings carry each quality flag, and what of their baseline passes the high-pass.

    python benchmarks/quality_flags.py CHALLENGE_TREE [EEGMAT_TREE]

Prints the tables of docs/data.md, "Quality flags", from windows of 10 s.
"""

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy import fft

from physiopipe.cohorts.base import Modality
from physiopipe.cohorts.eegmat import EegmatData
from physiopipe.cohorts.eegmat_tree import read_recording
from physiopipe.cohorts.registry import cohort as cohort_of
from physiopipe.params import Quality
from physiopipe.recordings.recording import Recording
from physiopipe.recordings.wfdb import read_wfdb_record
from physiopipe.signals.quality import WANDER_HZ, Judged, RecordQuality, measure_blocks

WINDOW_S = 10.0
SHARES = (0.02, 0.05, 0.1, 0.2)
RAW_SHARES = (0, 0.5, 0.8, 0.95, 0.99, 1)


def recordings(challenge: Path, eegmat: Path | None) -> Iterator[tuple[str, str, str, Recording]]:
    """Cohort, modality, row of the table, recording."""
    for header in sorted(challenge.glob("training/*/*/*.hea")):
        found = read_wfdb_record(header, header.parts[-3])
        assert isinstance(found, Recording), f"{header} is longer than this looks at"
        yield "challenge", "ecg", found.source, found
    for path in sorted(eegmat.glob("Subject*.edf")) if eegmat else ():
        for modality in ("ecg", "eeg"):
            recording = read_recording(path, "eegmat", modality, EegmatData())
            yield "eegmat", modality, f"EEGMAT, {modality.upper()}", recording


def judged(recording: Recording, made: Modality) -> tuple[dict[str, int], pd.DataFrame]:
    """Windows with each flag, and with each share of wander; and of every lead in every window, what passes."""
    filtering = Judged(made.filter.notch_of(recording.source), made.filter.highpass_hz, made.filter.order)
    signal, rate_hz = np.asarray(recording.signal, dtype=np.float32), recording.rate_hz
    blocks = measure_blocks(signal, rate_hz, filtering)
    starts = np.arange(0, max(signal.shape[1] / rate_hz - WINDOW_S, 0) + 1e-6, WINDOW_S)

    def flags(limits: Quality) -> dict[str, int]:
        quality = RecordQuality(blocks, missing=np.zeros(len(signal), dtype=np.bool_), limits=limits)
        return {name: int(found.sum()) for name, found in quality.flags(starts, WINDOW_S).flags.items()}

    counts = {"windows": len(starts)} | flags(made.shard.quality)
    counts |= {f"over {share:.0%}": flags(Quality(wander_share=share))["wander"] for share in SHARES}
    raw = signal - np.median(signal, axis=1, keepdims=True)
    spectrum = fft.rfft(np.concatenate([raw, raw[:, ::-1]], axis=1), axis=1)
    spectrum[:, int(np.ceil(WANDER_HZ * 2 * raw.shape[1] / rate_hz)) :] = 0
    baseline = fft.irfft(spectrum, n=2 * raw.shape[1], axis=1)[:, : raw.shape[1]]
    of_leads = []
    for start in starts:
        block = slice(int(start / blocks.block_s), int((start + WINDOW_S) / blocks.block_s))
        sample = slice(int(start * rate_hz), int((start + WINDOW_S) * rate_hz))
        under = np.square(baseline[:, sample]).mean(axis=1)
        above, left = blocks.values[2, :, block].mean(axis=1), blocks.values[5, :, block].mean(axis=1)
        of_leads.append(pd.DataFrame({"raw": under / (under + above + 1e-12), "above": above, "left": left}))
    return counts, pd.concat(of_leads)


def main(challenge: Path, eegmat: Path | None) -> None:
    rows, leads, rms = [], [], []
    for cohort, modality, source, recording in recordings(challenge, eegmat):
        counts, of_leads = judged(recording, cohort_of(cohort).modalities[modality])
        rows.append({"source": source} | counts)
        if cohort == "challenge":
            beating = of_leads[of_leads["above"] > 1e-5]
            leads.append(beating)
            rms.append(np.sqrt(beating["left"].median()))
    table = pd.DataFrame(rows).groupby("source", sort=False).sum()
    table.loc["all of the Challenge"] = table[~table.index.str.startswith("EEGMAT")].sum()
    names = ["wander", *(f"over {share:.0%}" for share in SHARES), "mains", "flat", "clipping", "amplitude"]
    print("| source | windows | " + " | ".join(names) + " |\n|" + " --- |" * (len(names) + 2))
    for source, row in table.iterrows():
        shares = " | ".join(f"{row[name] / row['windows']:.1%}" for name in names)
        print(f"| {source} | {row['windows']:,} | {shares} |")
    print("\n| share of raw power under 0.5 Hz | leads of windows | passes: median | passes: 90 % under |")
    print("| --- | --- | --- | --- |")
    every = pd.concat(leads)
    share = every["left"] / every["above"]
    for low, high in pairwise(RAW_SHARES):
        mine = share[(every["raw"] >= low) & (every["raw"] < high)]
        print(f"| {low:.0%} to {high:.0%} | {len(mine):,} | {mine.median():.2%} | {mine.quantile(0.9):.1%} |")
    print("\nRMS of what passes in a record, median over leads, mV:", np.quantile(rms, [0.25, 0.5, 0.75]).round(4))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
