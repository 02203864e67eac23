"""Stages notice what is not Python, and what is named by import strings alone."""

import shutil
from pathlib import Path

import pytest

from physiopipe import stage_code
from physiopipe.params.presets import preset_with

ROOT = Path(__file__).parents[1]


def test_a_changed_template_or_table_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = preset_with(ROOT / "presets", "demo", [])
    before = stage_code.stage_digests(params)
    for names in stage_code._FILES.values():
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / "physiopipe" / name, tmp_path / name)
    monkeypatch.setattr(stage_code, "_ROOT", tmp_path)
    assert stage_code.stage_digests(params) == before
    with (tmp_path / "report/page.html").open("a") as handle:
        handle.write("<!-- changed -->")
    changed = stage_code.stage_digests(params)
    assert {stage for stage in before if before[stage] != changed[stage]} == {"report"}


def test_what_cohorts_name_by_import_strings_counts() -> None:
    named = stage_code._of_cohorts(preset_with(ROOT / "presets", "demo", []))
    assert "physiopipe.cohorts.dreamer_simulation" in named  # the expected AUC of planted effects
    assert "physiopipe.cohorts.dreamer_reported" in named
