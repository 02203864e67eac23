"""Rows that are each compared with another row, as data: fusions, ablations. Their text is `contrasts_text`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from physiopipe.experiments.gap_cells import GAP_CELLS
from physiopipe.experiments.predictions import read_predictions
from physiopipe.results.intervals import MEAN, Estimates, estimate
from physiopipe.results.metrics import oracle_share
from physiopipe.results.oracle import oracle_estimates
from physiopipe.results.p_values import Comparison, compare, holm, permutation_p_values
from physiopipe.results.study import REFERENCE, Study
from physiopipe.results.test_set import TestSet, read_predictions_of, read_test_set, title_of

BESIDE_FUSIONS = ("ecg_only", "eeg_only", REFERENCE)
PLANNED = "A planned comparison: p is corrected for the planned ones alone."
_DECIMALS = 4


@dataclass(frozen=True)
class Contrast:
    """One row: who it is, what was found, and the row it is compared with (empty: none)."""

    name: str
    title: str
    group: str
    note: str
    versus: str
    estimates: Estimates
    p_value: Mapping[str, float]


def columns_of(tasks: Sequence[str]) -> tuple[str, ...]:
    """Columns of a table of contrasts of these tasks; the mean has the interval, also of one task."""
    return (
        "cohort", "simulated", "protocol", "group", "name", "title", "note",
        *(f"{task}_percent" for task in tasks), "mean_percent", "low_percent", "high_percent", "p_value",
        "oracle_share_percent", "versus", "difference_percent", "difference_low", "difference_high", "difference_p",
        "difference_p_holm",
    )  # fmt: skip


def fusions(folder: Path, study: Study, names: Sequence[str]) -> pd.DataFrame:
    """Other ways to fuse the encoders, `names`, each compared with the reference; one modality alone beside them.

    Args:
        folder: results/<cohort>, which holds predictions/.
    """
    beside = [name for name in BESIDE_FUSIONS if name in study.methods]
    test = read_test_set(folder / "predictions", study, [*beside, *names])
    about = {
        name: {"title": test.title(name), "claim": "fusion", "versus": REFERENCE}
        for name in test.methods
    }  # fmt: skip
    return contrasts_of(test, about, study)


def ablations(folder: Path, study: Study) -> pd.DataFrame:
    """The reference with one thing changed, a row a variant; those with other labels or clips are compared among
    themselves. The cells of the gap have a table of their own (`results.gap`).

    Holm's correction is for the planned comparisons by themselves, and for all others by themselves.

    Args:
        folder: results/<cohort>, which holds predictions/ and ablations/.
    """
    names = [name for name in study.ablations if name not in GAP_CELLS]
    files = {name: folder / "ablations" / f"{name}.parquet" for name in names}
    if REFERENCE in study.methods:
        files = {REFERENCE: folder / "predictions" / f"{REFERENCE}.parquet", **files}
    alike: dict[str, dict[str, Path]] = {}
    studies: dict[str, Study] = {}
    for name, path in files.items():
        own = read_predictions(path)[1]
        high_from = {**study.thresholds, **own.get("high_from", {})}
        key = f"{sorted(high_from.items())} {own.get('left_out', [])}"
        alike.setdefault(key, {})[name] = path
        others = replace(study, thresholds=high_from)
        studies.setdefault(key, study if high_from == dict(study.thresholds) else others)
    if not alike:
        return contrast_frame([], [], None, study)
    table = pd.concat([_ablations(group, studies[key]) for key, group in alike.items()], ignore_index=True)
    compared, planned = table["difference_p"].notna(), table["name"].isin(study.planned)
    for family in (compared & planned, compared & ~planned):  # whatever their labels
        table.loc[family, "difference_p_holm"] = [round(p, 6) for p in holm(table.loc[family, "difference_p"].tolist())]
    return table


def _ablations(files: Mapping[str, Path], study: Study) -> pd.DataFrame:
    """Rows of the same clips and labels."""
    test = read_predictions_of(files, study)
    about: dict[str, dict[str, Any]] = {}
    for name in test.methods:
        own = test.about[name]
        if name == REFERENCE:
            about[name] = {"title": title_of(name, own), "claim": "reference"}
            continue
        notes = [own["note"]] if "note" in own else []
        if "pretrain_epochs" in own:
            epochs = own["pretrain_epochs"]
            notes.append(f"ECG encoder pretrained for {epochs} epoch{'s' * (epochs != 1)}.")
        if name in study.planned:
            notes.append(PLANNED)
        if own.get("leaky"):
            notes.append("LEAKY on purpose: no result, only what the mistake would have claimed.")
        about[name] = own | {"title": title_of(name, own), "note": " ".join(notes)}
    return contrasts_of(test, about, study)


def contrasts_of(test: TestSet, about: Mapping[str, Mapping[str, Any]], study: Study) -> pd.DataFrame:
    """The table of these predictions; `about` holds title, claim, and where there are any note and versus, by name."""
    settings, headline = study.settings, study.headline
    if not test.methods:
        return contrast_frame([], [], None, study)
    weights = study.resamples(len(test.subjects))
    estimates = {
        name: estimate(seeds, weights, settings.confidence, study.tasks, headline, interval=study.interval)
        for name, seeds in test.methods.items()
    }
    p_values = permutation_p_values(
        list(test.methods.values()), settings.permutations, settings.resampling_seed, study.tasks, headline
    )
    pairs = [
        (name, str(about[name]["versus"]))
        for name in test.methods
        if about[name].get("versus") in estimates and about[name]["versus"] != name
    ]
    rows = [
        Contrast(
            name, about[name]["title"], about[name].get("claim", ""), about[name].get("note", ""),
            about[name].get("versus", ""), estimates[name], p_value,
        )
        for name, p_value in zip(test.methods, p_values, strict=True)
    ]  # fmt: skip
    compared = compare(pairs, estimates, settings.confidence, settings.permutations, settings.resampling_seed)
    return contrast_frame(rows, compared, oracle_estimates(test, study), study)


def contrast_frame(
    rows: Sequence[Contrast], comparisons: Sequence[Comparison], oracle: Estimates | None, study: Study
) -> pd.DataFrame:
    """The table as data, a row each in the order given; AUCs (the headline metric) and shares in percent."""
    compared = {(one.first, one.second): one for one in comparisons}
    best = oracle.value[MEAN][study.headline] if oracle is not None else math.nan
    content = []
    for row in rows:
        found, one = row.estimates, compared.get((row.name, row.versus))
        value = found.value[MEAN][study.headline]
        content.append(
            {
                "cohort": study.cohort, "simulated": study.simulated, "protocol": study.settings.protocol,
                "group": row.group, "name": row.name, "title": row.title, "note": row.note,
                **{f"{task}_percent": _percent(found.value[task][study.headline]) for task in study.tasks},
                "mean_percent": _percent(value), "low_percent": _percent(found.low[MEAN][study.headline]),
                "high_percent": _percent(found.high[MEAN][study.headline]), "p_value": round(row.p_value[MEAN], 6),
                "oracle_share_percent": _percent(oracle_share(value, best)),
                "versus": row.versus if one else "",
                "difference_percent": _percent(one.difference) if one else math.nan,
                "difference_low": _percent(one.low) if one else math.nan,
                "difference_high": _percent(one.high) if one else math.nan,
                "difference_p": round(one.p_value, 6) if one else math.nan,
                "difference_p_holm": round(one.p_holm, 6) if one else math.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(content, columns=list(columns_of(study.tasks)))


def _percent(share: float) -> float:
    return round(100 * share, _DECIMALS)
