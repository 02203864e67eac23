"""Bad records through a whole run: each is told of once, and the others' windows are as if it were not there."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from bad_records import BAD, GOOD, SOURCE, add_bad_records, copy_tree, publish_sums
from small_study import MANIFEST, SNAKEMAKE, WINDOWS, Undisturbed, copy_of, simulated_tree
from studies import Study

from physiopipe.signals.leads import CLINICAL_LEADS
from physiopipe.windows.damage import damage_of_cohort
from physiopipe.windows.part import QUALITY_FLAGS
from physiopipe.windows.store import WindowStore

pytestmark = pytest.mark.workflow


def published_study(undisturbed: Undisturbed, folder: Path, tree: Path, *more: str) -> Study:
    study = copy_of(undisturbed.study, folder)
    study.preset(
        "tiny",
        "data.challenge.sources=[georgia,ptb]",
        "data.challenge.origin=published",
        f"data.challenge.base_url={tree}",
        *more,
    )
    return study


@pytest.fixture(scope="module")
def good(undisturbed: Undisturbed) -> WindowStore:
    return WindowStore(undisturbed.study.folder / WINDOWS)


@pytest.fixture(scope="module")
def bad(undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> WindowStore:
    """The cohort of a tree with every bad record in it."""
    place = tmp_path_factory.mktemp("bad")
    tree = copy_tree(simulated_tree(undisturbed.study), place / "tree")
    add_bad_records(tree)
    study = published_study(undisturbed, place / "study", tree, "data.challenge.max_rejected_share=1")
    study.run(*SNAKEMAKE)
    assert damage_of_cohort(study.folder / WINDOWS) == {}
    return WindowStore(study.folder / WINDOWS)


def windows_of(store: WindowStore, record: str) -> tuple[pd.DataFrame, npt.NDArray[np.int16]]:
    """Index rows and int16 windows of a record."""
    rows = np.flatnonzero((store.index["record"] == record).to_numpy())
    return store.index.iloc[rows].reset_index(drop=True), store.gather(rows)[0]


def lead_bit(name: str) -> int:
    return 1 << CLINICAL_LEADS.index(name)


def test_every_bad_record_is_told_of_once(bad: WindowStore, good: WindowStore) -> None:
    with (bad.folder / "rejected.csv").open(newline="") as handle:
        told = [(row["record"], row["reason"]) for row in csv.DictReader(handle)]
    with (good.folder / "rejected.csv").open(newline="") as handle:
        before = [(row["record"], row["reason"]) for row in csv.DictReader(handle)]
    expected = {record.name: record.reason for record in BAD if record.reason is not None}
    assert sorted(record for record, _ in told) == sorted([*expected, *(record for record, _ in before)])
    reasons = dict(told)
    assert [name for name, reason in expected.items() if reason not in reasons[name]] == [], reasons
    assert set(before) <= set(told)
    assert not set(bad.index["record"]) & set(reasons)
    assert set(bad.index["record"]) == set(good.index["record"]) | {bad.name for bad in BAD if bad.reason is None}


def test_the_other_records_are_as_if_it_were_not_there(bad: WindowStore, good: WindowStore) -> None:
    for record in good.index["record"].unique():
        (rows, windows), (expected_rows, expected) = windows_of(bad, record), windows_of(good, record)
        assert windows.tobytes() == expected.tobytes()
        changed = ["row", "cohort", "source", "record", "subject", "part", "modality", "record_flags"]
        pd.testing.assert_frame_equal(rows.drop(columns=changed), expected_rows.drop(columns=changed))


@pytest.mark.parametrize("lead", ["V6", "II"])
def test_a_lead_that_was_not_recorded_is_missing_and_masked(bad: WindowStore, lead: str) -> None:
    rows, windows = windows_of(bad, f"odd_without_{lead.lower()}")
    _, expected = windows_of(bad, GOOD)
    position = CLINICAL_LEADS.index(lead)
    assert rows["missing"].all()
    assert not (rows["channel_mask"] & lead_bit(lead)).any()
    assert (rows["channel_mask"] | lead_bit(lead) == (1 << 12) - 1).all()
    assert (rows["derived_mask"] == 0).all()
    assert not windows[:, position].any()
    assert np.array_equal(np.delete(windows, position, axis=1), np.delete(expected, position, axis=1))


@pytest.mark.parametrize("lead", ["III", "aVF"])
def test_a_lead_that_follows_from_others_is_derived_and_marked(bad: WindowStore, lead: str) -> None:
    rows, windows = windows_of(bad, f"odd_without_{lead.lower()}")
    _, expected = windows_of(bad, GOOD)
    assert not rows["missing"].any()
    assert (rows["derived_mask"] == lead_bit(lead)).all()
    assert (rows["channel_mask"] == (1 << 12) - 1).all()
    assert np.abs(windows.astype(np.int32) - expected).max() <= 1  # stored in whole microvolts


def test_an_all_zero_record_has_no_channel_that_is_there(bad: WindowStore) -> None:
    rows, windows = windows_of(bad, "odd_all_zero")
    assert len(rows)
    assert not windows.any()
    assert (rows["channel_mask"] == 0).all()
    assert rows["flat"].all()
    assert not rows[[flag for flag in QUALITY_FLAGS if flag not in ("flat", "no_beats")]].any(axis=None)


def test_one_second_fills_half_a_window_at_one_rate(bad: WindowStore) -> None:
    rows, windows = windows_of(bad, "odd_one_second")
    assert rows["rate_hz"].tolist() == [1000]
    assert rows["valid_patches"].tolist() == [5]
    assert windows[:, :, :5].any()
    assert not windows[:, :, 5:].any()


@pytest.mark.parametrize(
    ("where", "name"),
    [("RECORDS", "training/georgia/../../../elsewhere"), (f"{SOURCE}/RECORDS", "../g1/x"), ("RECORDS", "/etc/passwd")],
)
def test_a_list_that_climbs_out_is_refused(undisturbed: Undisturbed, tmp_path: Path, where: str, name: str) -> None:
    tree = copy_tree(simulated_tree(undisturbed.study), tmp_path / "tree")
    with (tree / where).open("a") as handle:
        handle.write(f"{name}\n")
    publish_sums(tree)
    study = published_study(undisturbed, tmp_path / "study", tree)
    command = ("physiopipe", "discover", "--cohort", "challenge")
    output = study.run(*command, expect=2)
    assert output.startswith("error: ")
    assert repr(name) in output
    assert "Traceback" not in output
    assert not (study.folder / "data/plan").exists()
    assert not (study.folder / MANIFEST).exists()
