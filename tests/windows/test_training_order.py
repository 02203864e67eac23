"""What pretraining draws: every record once, rates by weight, and nothing but (seed, epoch) decides."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_parts import write_part

from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.pretraining import epoch_order, load_windows, window_ids, window_weights
from physiopipe.windows.store import WindowStore


def _index(windows: dict[str, dict[int, int]]) -> pd.DataFrame:
    rows = [
        {"record": record, "rate_hz": rate, "start_s": float(n), "cohort": "challenge", "modality": "ecg"}
        for record, rates in windows.items()
        for rate, count in rates.items()
        for n in range(count)
    ]
    return pd.DataFrame(rows)


def test_each_record_and_rate_has_its_share() -> None:
    index = _index({"short": {100: 1, 500: 3}, "long": {100: 9, 500: 60}})
    weights = window_weights(index, {100: 1.0, 500: 3.0})
    by = pd.Series(weights).groupby([index["record"], index["rate_hz"]]).sum()
    assert by["short", 100] == pytest.approx(0.125)
    assert by["long", 100] == pytest.approx(0.125)
    assert by["short", 500] == pytest.approx(0.375)
    assert by["long", 500] == pytest.approx(0.375)


def test_a_rate_without_weight_is_never_drawn_and_no_weight_at_all_is_refused() -> None:
    index = _index({"a": {100: 2, 200: 2}})
    order = epoch_order(window_weights(index, {100: 1.0}), 0, 0)
    assert set(index["rate_hz"].to_numpy()[order]) == {100}
    with pytest.raises(ValueError, match="no weight"):
        window_weights(index, {500: 1.0})


@given(st.lists(st.floats(1e-3, 1.0), min_size=1, max_size=200), st.integers(0, 99), st.integers(0, 99))
def test_counts_are_the_weights_rounded(values: list[float], seed: int, epoch: int) -> None:
    weights = np.array(values) / np.sum(values)
    order = epoch_order(weights, seed, epoch)
    assert len(order) == len(weights)
    counts = np.bincount(order, minlength=len(weights))
    assert np.all(np.abs(counts - weights * len(weights)) < 1 + 1e-6)
    assert np.array_equal(order, epoch_order(weights, seed, epoch))


def test_epochs_differ_and_cover_everything_in_the_end() -> None:
    index = _index({f"r{n}": {100: 1, 1000: 5} for n in range(40)})
    weights = window_weights(index, {100: 1.0, 1000: 1.0})
    orders = [epoch_order(weights, 1, epoch) for epoch in range(20)]
    assert not np.array_equal(orders[0], orders[1])
    assert len(np.unique(np.concatenate(orders))) == len(index)


def test_ids_belong_to_windows_not_places() -> None:
    index = _index({"a": {100: 2, 200: 1}, "b": {100: 1}})
    ids = window_ids(index)
    assert len(np.unique(ids)) == 4
    assert np.array_equal(window_ids(index.iloc[::-1]), ids[::-1])


def test_loaded_windows_carry_masks_and_sources(tmp_path: Path) -> None:
    collect_cohort("challenge", [write_part(tmp_path / "p", 1, [2, 3])], tmp_path / "w", {})
    store = WindowStore(tmp_path / "w")
    rows = store.rows("ecg", (100, 200))
    arrays = load_windows(store, rows)
    assert arrays.leads == tuple(store.attributes("ecg", int(store.index["rate_hz"].iloc[rows[0]]))["channels"])
    assert arrays.samples.shape == (10, 3, 2, 200)
    of_second = (store.index["record"] == "b1r1").to_numpy()[rows]
    assert np.array_equal(arrays.channel_mask[:, 2], ~of_second)  # the second record has no third channel
    assert arrays.channel_mask[:, :2].all()
    assert set(arrays.source) == {"ptb"}
    assert sorted(set(arrays.rate_hz.tolist())) == [100, 200]
