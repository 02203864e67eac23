"""Fusions, ablations and robustness from saved predictions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_predictions import (
    ABLATIONS,
    CONDITIONS,
    FUSIONS,
    LABELS,
    ROBUST,
    make_latents,
    make_study,
    seed_predictions,
    write_side_predictions,
)
from sklearn.metrics import roc_auc_score

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.predictions import read_predictions, write_predictions
from physiopipe.results.contrasts import ablations
from physiopipe.results.contrasts_text import as_markdown, share_of_the_oracle
from physiopipe.results.evaluate import write_side_tables
from physiopipe.results.intervals import estimate, headline_interval, resample_subjects
from physiopipe.results.oracle import posterior
from physiopipe.results.p_values import holm


def subject_auc(frame: pd.DataFrame) -> float:
    """Mean over labels and seeds of the mean AUC within subjects, by scikit-learn."""
    by_label = []
    for _, of_label in frame.groupby("label"):
        by_seed = [
            np.mean([
                roc_auc_score(rows["truth"], rows["probability"])
                for _, rows in of_seed.groupby("subject")
                if rows["truth"].nunique() == 2
            ])
            for _, of_seed in of_label.groupby("seed")
        ]  # fmt: skip
        by_label.append(np.mean(by_seed))
    return float(np.mean(by_label))


@pytest.fixture
def results(with_tables: Path) -> Path:
    return with_tables


def test_fusions_are_compared_with_concatenation(results: Path) -> None:
    table = pd.read_csv(results / "fusions.csv").set_index("name")
    assert list(table.index) == ["ours", "gated", "cross_attention", "mixture"]
    for name, row in table.iterrows():
        frame, _ = read_predictions(results / "predictions" / f"{name}.parquet")
        assert row["mean_percent"] == pytest.approx(100 * subject_auc(frame), abs=1e-3)
        assert row["low_percent"] < row["mean_percent"] < row["high_percent"]
        if name != "ours":
            expected = row["mean_percent"] - table.loc["ours", "mean_percent"]
            assert row["difference_percent"] == pytest.approx(expected, abs=2e-3)
            assert row["difference_p_holm"] >= row["difference_p"]
    assert table.loc["mixture", "difference_low"] > 0  # made up to be much better
    assert pd.isna(table.loc["ours", "versus"])
    text = (results / "fusions.md").read_text()
    assert "SIMULATED" in text
    assert "| Mixture |" in text


def test_ablations_are_compared_with_the_row_they_change(results: Path) -> None:
    table = pd.read_csv(results / "ablations.csv").set_index("name")
    assert list(table.index) == ["ours", *ABLATIONS]
    assert table.loc["patch_masking", "versus"] == "dual_masking"
    difference = table.loc["patch_masking", "mean_percent"] - table.loc["dual_masking", "mean_percent"]
    assert table.loc["patch_masking", "difference_percent"] == pytest.approx(difference, abs=2e-3)
    assert table.loc["ecg_untrained", "versus"] == "ours"
    text = (results / "ablations.md").read_text()
    assert "Title of leaky_ours*" in text
    assert "LEAKY on purpose" in text
    levels = make_latents()
    probability = posterior(levels, levels.moved)
    names = np.array(levels.subject)
    oracle = np.mean([
        roc_auc_score(levels.moved[names == name, label], probability[names == name, label])
        for name in sorted(set(names)) for label in range(3)
    ])  # fmt: skip
    share = (table["mean_percent"] - 50) / (100 * oracle - 50)
    np.testing.assert_allclose(table["oracle_share_percent"], 100 * share, atol=0.01)


def test_planned_comparisons_are_corrected_among_themselves(results: Path) -> None:
    plain = pd.read_csv(results / "ablations.csv").set_index("name")
    study = replace(make_study(), planned=("ecg_untrained",))
    table = ablations(results, study).set_index("name")
    compared = table["difference_p"].notna()
    pd.testing.assert_series_equal(table["difference_p"], plain["difference_p"])
    assert table.loc["ecg_untrained", "difference_p_holm"] == table.loc["ecg_untrained", "difference_p"]
    others = table[compared & (table.index != "ecg_untrained")]
    np.testing.assert_allclose(others["difference_p_holm"], holm(others["difference_p"].tolist()))
    assert compared.sum() == len(others) + 1 > 2
    text = as_markdown(table.reset_index(), "Ablations", "What.", study)
    assert "Title of ecg_untrained: A planned comparison" in text
    assert "planned comparisons among themselves" in text
    assert "planned" not in (results / "ablations.md").read_text()


def test_share_of_the_oracle_is_told_with_and_without_pretraining(made_study: tuple[Path, Path]) -> None:
    table = write_side_tables(made_study[0], make_study(), FUSIONS)
    lines = share_of_the_oracle(table, "ours", "ecg_untrained")
    shares = table.set_index("name")["oracle_share_percent"]
    assert lines == [
        f"Ours: {shares['ours']:.0f} % of the oracle's excess over chance",
        f"Title of ecg_untrained: {shares['ecg_untrained']:.0f} % of the oracle's excess over chance",
    ]


def test_robustness_is_the_auc_of_each_condition(results: Path) -> None:
    table = pd.read_csv(results / "robustness.csv")
    assert len(table) == len(ROBUST) * len(CONDITIONS) * 4
    frame, _ = read_predictions(results / "robustness" / "ours.parquet")
    mean = table[(table["method"] == "ours") & (table["label"] == "mean")].set_index(["condition", "level"])
    for (condition, level), part in frame.groupby(["condition", "level"]):
        row = mean.loc[(condition, level)]
        assert row["value_percent"] == pytest.approx(100 * subject_auc(part), abs=1e-3)
        assert row["low_percent"] < row["value_percent"] < row["high_percent"]
    worst = mean.loc[("noise_snr_db", -5.0), "value_percent"]
    assert worst < mean.loc[("noise_snr_db", 20.0), "value_percent"] - 5


def test_predictions_of_other_seeds_or_clips_are_refused(made_study: tuple[Path, Path]) -> None:
    results, _ = made_study
    write_side_predictions(results, seeds=(0,))
    with pytest.raises(PhysiopipeError, match=r"ecg_untrained\.parquet: seed is 0, params\.yaml says 0, 1"):
        write_side_tables(results, make_study(), FUSIONS)
    write_side_predictions(results)
    path = results / "ablations" / "ecg_untrained.parquet"
    frame, about = read_predictions(path)
    write_predictions(path, frame[frame["subject"] != "s03"], about)
    with pytest.raises(PhysiopipeError, match="tested on different clips"):
        write_side_tables(results, make_study(), FUSIONS)


def test_a_missing_file_names_itself(made_study: tuple[Path, Path]) -> None:
    (made_study[0] / "robustness" / "ours.parquet").unlink()
    with pytest.raises(PhysiopipeError, match=r"robustness/ours\.parquet is missing"):
        write_side_tables(made_study[0], make_study(), FUSIONS)


def test_intervals_of_robustness_are_those_of_table_1(results: Path) -> None:
    settings = make_study().settings
    frame, _ = read_predictions(results / "predictions" / "ours.parquet")
    seeds = seed_predictions(frame)
    weights = resample_subjects(12, settings.bootstrap, settings.resampling_seed)
    for headline in ("subject_auc", "auc"):
        found = estimate(seeds, weights, settings.confidence, LABELS, headline)
        own = headline_interval(seeds, weights, settings.confidence, LABELS, headline)
        for label, (value, low, high) in own.items():
            assert value == pytest.approx(found.value[label][headline])
            assert (low, high) == pytest.approx((found.low[label][headline], found.high[label][headline]))
