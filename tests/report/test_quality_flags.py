import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_up_predictions import make_params
from made_up_study import CHANNELS, write_windows
from matplotlib.figure import Figure

from physiopipe.params import check_params
from physiopipe.recordings.recording import HeldSignal, LongRecording, Recording
from physiopipe.report.data_facts import DataFacts, facts_of
from physiopipe.report.quality_figures import FLAGS, NO_FLAG, Recordings, example_rows, quality_plots, strips
from physiopipe.report.quality_tables import CAPTION, flags_by_source, quality, thresholds
from physiopipe.windows.part import index_schema, write_index
from physiopipe.windows.store import WindowStore

COHORTS = [("challenge", "ecg"), ("dreamer", "eeg"), ("dreamer", "ecg")]


def facts(cohort: str) -> DataFacts:
    return facts_of(make_params(), cohort)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("windows")
    write_windows(root)
    return root


def changed(windows: Path, target: Path, index: pd.DataFrame) -> WindowStore:
    """The challenge's store with another index."""
    target.mkdir()
    for path in (windows / "challenge").iterdir():
        if path.name != "index.parquet":
            (target / path.name).symlink_to(path)
    write_index(target / "index.parquet", pa.Table.from_pandas(index, schema=index_schema(()), preserve_index=False))
    return WindowStore(target)


def titles(figure: Figure) -> list[str]:
    return [title for axes in figure.axes if (title := axes.get_title(loc="left"))]


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize(("cohort", "modality"), COHORTS)
def test_each_flag_has_its_strips_or_is_said_to_be_absent(windows: Path, cohort: str, modality: str) -> None:
    store = WindowStore(windows / cohort)
    index = store.index[store.index["modality"] == modality]
    drawn = titles(quality_plots(store, facts(cohort))[modality])
    words = words_of(quality(store, facts(cohort)))
    start = words.index(f"{modality}: windows with each flag")
    said = re.search(r"No window carries: ([\w, ]+)\.", words[start:])
    absent = said.group(1).split(", ") if said else []
    for flag in FLAGS:
        carried = index["record"][index[flag] if flag != "saturated" else index["saturated"] > 0].astype(str)
        examples = [title for title in drawn if title.startswith(f"{flag}: ")]
        assert len(examples) == min(carried.nunique(), 2)
        assert (flag in absent) == carried.empty
        shown = [title.split(": ", 1)[1].split(" (")[0] for title in examples]
        assert len(set(shown)) == len(shown)
        assert set(shown) <= set(carried)
    assert {"missing", "saturated"} <= set(absent) < set(FLAGS)
    assert sum(title.startswith(f"{NO_FLAG}: ") for title in drawn) == 1
    assert all(re.search(r"\d+ Hz", title) for title in drawn)


def test_all_flags_at_once_and_none_at_all(windows: Path, tmp_path: Path) -> None:
    index = WindowStore(windows / "challenge").index
    every = index.assign(**dict.fromkeys(FLAGS, True)).assign(saturated=3)
    store = changed(windows, tmp_path / "every", every)
    words = words_of(quality(store, facts("challenge")))
    assert "Each flag is carried by some window. No window is without a flag." in words
    drawn = titles(quality_plots(store, facts("challenge"))["ecg"])
    assert [title.split(":")[0] for title in drawn] == [flag for flag in FLAGS for _ in range(2)]
    assert all("also" in title for title in drawn)
    none = index.assign(**dict.fromkeys(FLAGS, False)).assign(saturated=0)
    store = changed(windows, tmp_path / "none", none)
    assert f"No window carries: {', '.join(FLAGS)}." in words_of(quality(store, facts("challenge")))
    (title,) = titles(quality_plots(store, facts("challenge"))["ecg"])
    assert title.startswith("no flag: georgia0 (georgia), ")


def test_examples_are_the_first_whole_windows_of_different_records() -> None:
    rows = [
        ("a", 5, True), ("a", 10, False), ("b", 10, True), ("b", 10, True), ("c", 4, True), ("a", 10, True),
        ("d", 10, True),
    ]  # fmt: skip
    index = pd.DataFrame(rows, columns=["record", "valid_patches", "wander"]).assign(modality="ecg", saturated=0)
    index = index.assign(**dict.fromkeys(set(FLAGS) - {"wander", "saturated"}, False))
    assert example_rows(index, "ecg") == {"wander": [2, 5], NO_FLAG: [1]}
    assert example_rows(index.iloc[:5], "ecg")["wander"] == [2, 0]  # no other whole one
    assert example_rows(index, "eeg") == {}


def test_strips_are_the_stored_windows_and_mark_the_leads(windows: Path, tmp_path: Path) -> None:
    channels = CHANNELS["challenge", "ecg"]
    index = WindowStore(windows / "challenge").index
    index = index.assign(**dict.fromkeys(FLAGS, False)).assign(saturated=0)
    index.loc[7, ["missing", "amplitude"]] = True
    index.loc[7, "channel_mask"] = 0xFFF & ~0b10  # without lead II
    store = changed(windows, tmp_path / "marked", index)
    found = strips(store, "ecg", 1.05, {})
    (missing,), (amplitude,), (clean,) = (found[name] for name in ("missing", "amplitude", NO_FLAG))
    assert missing.title.endswith(", as stored, 1000 Hz; also amplitude")
    counts, scale, _ = store.gather(np.array([7]))
    assert np.array_equal(missing.samples.reshape(12, 10, 200), counts[0] * float(scale[0]))
    assert [name for name, marked in zip(channels, missing.marked, strict=True) if marked] == ["II"]
    assert [name for name, marked in zip(channels, amplitude.marked, strict=True) if marked] == ["V5", "V6"]
    assert not clean.marked.any()
    figure = quality_plots(store, facts("challenge"))["ecg"]
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("missing"))
    first, last = axes.get_xlim()
    assert (first, last - first) == pytest.approx((index.loc[7, "start_s"], 2000 / index.loc[7, "rate_hz"]))
    dotted = [line.get_linestyle() != "-" for line in axes.get_lines()[:12]]
    assert [name for name, is_dotted in zip(channels, dotted, strict=True) if is_dotted] == ["II"]
    assert any(text.get_text().endswith(" mV") for text in axes.texts)


def test_strips_are_the_raw_signal_where_it_is_here(windows: Path, tmp_path: Path) -> None:
    index = WindowStore(windows / "challenge").index
    index = index.assign(**dict.fromkeys(FLAGS, False)).assign(saturated=0)
    shown = index.index[(index["record"] == "ptb1") & (index["rate_hz"] == 500)][1]  # not the record's first window
    index.loc[shown, "wander"] = True
    store = changed(windows, tmp_path / "raw", index)
    start_s, window_s, rate_hz = float(index.loc[shown, "start_s"]), 4.0, 1000.0
    assert start_s > 0
    signal = np.cumsum(np.random.default_rng(3).normal(size=(12, 115_000)), axis=1).astype(np.float32)
    recording = Recording(signal, rate_hz, CHANNELS["challenge", "ecg"], "mV", "ptb", "ptb1", "ptb1")
    asked = []

    def raw(cohort: str, modality: str, batches: Mapping[str, str]) -> Recordings:
        asked.append((cohort, modality, dict(batches)))
        return {"ptb1": recording}

    first = round(start_s * rate_hz)
    expected = signal[:, first : first + round(window_s * rate_hz)].astype(np.float64)
    expected -= np.median(expected, axis=1, keepdims=True)
    long = LongRecording(replace(recording, signal=signal[:, :0]), HeldSignal(signal))
    for kind in (recording, long):
        (wander,) = strips(store, "ecg", 5.0, {"ptb1": kind})["wander"]
        np.testing.assert_array_equal(wander.samples, expected)
        assert wander.title == "wander: ptb1 (ptb), raw, 1000 Hz"
    figure = quality_plots(store, facts("challenge"), raw)["ecg"]
    assert titles(figure) == ["wander: ptb1 (ptb), raw, 1000 Hz", "no flag: georgia0 (georgia), as stored, 200 Hz"]
    assert asked == [("challenge", "ecg", {"ptb1": index.loc[shown, "part"], "georgia0": index.loc[0, "part"]})]
    axes = figure.axes[0]
    assert axes.get_xlim() == pytest.approx((start_s, start_s + window_s))
    drawn = axes.get_lines()[0].get_xydata()
    assert drawn[:, 0] == pytest.approx(start_s + np.arange(expected.shape[1]) / rate_hz)
    assert np.ptp(drawn[:, 1]) == pytest.approx(np.ptp(expected[0]))
    assert "as they were recorded" in CAPTION


def test_table_counts_each_source_and_all_of_them(windows: Path) -> None:
    index = WindowStore(windows / "challenge").index
    table = flags_by_source(index).set_index("source")
    ptb = index[index["source"] == "ptb"]
    assert table.loc["ptb", ["windows", "missing", "mains"]].tolist() == [len(ptb), 0, ptb["mains"].sum()]
    assert table.loc["all sources", "wander"] == index["wander"].sum()
    anyone = index[["missing", "flat", "clipping", "amplitude", "wander", "mains", "no_beats"]].any(axis=1)
    assert table.loc["all sources", "any flag"] == anyone.sum() < table.loc["all sources", list(FLAGS)].sum()
    page = words_of(quality(WindowStore(windows / "challenge"), facts("challenge")))
    assert f"{ptb['mains'].sum()} ({ptb['mains'].mean():.1%})" in page
    dreamer = WindowStore(windows / "dreamer").index
    assert flags_by_source(dreamer[dreamer["modality"] == "eeg"])["source"].tolist() == ["dreamer"]


def test_thresholds_are_the_parameters_with_their_units() -> None:
    settings = make_params().model_dump()
    settings["shard"]["challenge"]["ecg"]["quality"] = {
        "flat_peak_to_peak": 0.023, "amplitude_limit": 7.5, "clipping_share": 0.035, "wander_share": 0.61,
        "mains_share": 0.125,
    }  # fmt: skip
    settings["filter"]["challenge"]["ecg"]["notch_hz"] = {"default": 60.0, "ptb": 50.0}
    table = thresholds(facts_of(check_params(settings, "test"), "challenge"), "ecg", "mV").set_index("Flag")
    expected = {
        "flat": "under 0.023 mV", "amplitude": "±7.5 mV", "clipping": "3.5% of", "wander": "61% of",
        "mains": "12.5% of", "saturated": "±32.767 mV",
    }  # fmt: skip
    for flag, words in expected.items():
        assert words in table.loc[flag, "Raised when"]
    assert "(60 Hz, ptb 50 Hz)" in table.loc["mains", "Raised when"]
    assert table["Judged on the signal"].to_dict() == {
        flag: "stored" if flag in ("amplitude", "no_beats", "saturated") else "raw" for flag in FLAGS
    }
    eeg = thresholds(facts_of(check_params(settings, "test"), "dreamer"), "eeg", "µV").set_index("Flag")["Raised when"]
    assert "±100 µV" in eeg["amplitude"]
    assert "cannot occur" in eeg["saturated"]
