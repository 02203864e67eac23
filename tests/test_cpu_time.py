"""Seconds are told apart: what a fit takes itself, and what is kept for others, once each."""

import math
import time
from pathlib import Path

import pytest

from physiopipe import cpu_time

MARGIN_S = 0.03


def spend(seconds: float) -> None:
    """Compute for so much CPU time."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_what_is_kept_is_told_apart_and_found_again(tmp_path: Path) -> None:
    outer, inner, stage = (tmp_path / name for name in ("outer.npy", "inner.npy", "stage.bin"))
    with cpu_time.accounted() as first:
        spend(0.05)
        with cpu_time.computing(outer):
            spend(0.1)
            with cpu_time.computing(inner):  # of another place: told there alone
                spend(0.2)
        with cpu_time.computing_stage(stage):
            spend(0.15)
    assert first.own.cpu == pytest.approx(0.2, abs=MARGIN_S)
    assert first.kept["outer.npy"].cpu == pytest.approx(0.1, abs=MARGIN_S)
    assert first.kept["inner.npy"].cpu == pytest.approx(0.2, abs=MARGIN_S)
    assert cpu_time.total(first.kept).cpu == pytest.approx(0.3, abs=MARGIN_S)
    assert first.whole.cpu == pytest.approx(0.5, abs=MARGIN_S)
    assert first.own.wall >= first.own.cpu - MARGIN_S
    with cpu_time.accounted() as second:  # whoever finds it tells the same
        spend(0.05)
        for path in (outer, inner, inner):
            cpu_time.found(path)
        cpu_time.found_stage(stage)
    assert second.whole.cpu == pytest.approx(0.05, abs=MARGIN_S)
    assert second.own.cpu == pytest.approx(first.own.cpu, abs=MARGIN_S)
    assert set(second.kept) == set(first.kept)
    for name, seconds in first.kept.items():
        assert second.kept[name] == pytest.approx(seconds, abs=1e-3)


def test_what_was_kept_without_its_seconds_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "b.npy.seconds").write_text("not a number\n")
    with cpu_time.accounted() as account:
        cpu_time.found(tmp_path / "a.npy")
    assert math.isnan(cpu_time.total(account.kept).cpu)
    with cpu_time.accounted() as account:
        cpu_time.found(tmp_path / "b.npy")
    assert math.isnan(cpu_time.total(account.kept).wall)
    assert account.own.cpu < MARGIN_S


def test_an_account_ends_where_what_it_is_of_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), cpu_time.computing(tmp_path / "a.npy"):
        raise ValueError("no")
    assert not list(tmp_path.iterdir())
    with cpu_time.accounted() as account:
        pass
    assert account.kept == {}
