"""Stages notice what is not Python, and what is named by import strings alone."""

import shutil
from pathlib import Path

import pytest

from physiopipe import stage_code
from physiopipe.methods.registry import method_module
from physiopipe.params.presets import preset_with

ROOT = Path(__file__).parents[1]


def test_a_changed_template_or_table_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = preset_with(ROOT / "presets", "demo", [])
    before = stage_code.stage_digests(params)
    for names in (*stage_code._FILES.values(), ("cohorts/dreamer_reported.csv",)):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / "physiopipe" / name, tmp_path / name)
    monkeypatch.setattr(stage_code, "_ROOT", tmp_path)
    assert stage_code.stage_digests(params) == before
    with (tmp_path / "report/page.html").open("a") as handle:
        handle.write("<!-- changed -->")
    changed = stage_code.stage_digests(params)
    assert {stage for stage in before if before[stage] != changed[stage]} == {"report"}


@pytest.mark.parametrize("table", ["cohorts/dreamer_reported.csv", "cohorts/sources.csv"])
def test_a_changed_number_of_the_paper_or_licence_of_a_source_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    params = preset_with(ROOT / "presets", "demo", [])
    before = stage_code.stage_digests(params)
    shutil.copytree(ROOT / "physiopipe", tmp_path / "physiopipe", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(stage_code, "_ROOT", tmp_path / "physiopipe")
    assert stage_code.stage_digests(params) == before
    path = tmp_path / "physiopipe" / table
    path.write_text(path.read_text().replace("9", "8"))
    changed = stage_code.stage_digests(params)
    expected = {"report"} if table.endswith("sources.csv") else {"evaluate", "report"}
    assert {stage for stage in before if before[stage] != changed[stage]} == expected


def test_what_cohorts_name_by_import_strings_counts() -> None:
    named = stage_code._of_cohorts(preset_with(ROOT / "presets", "demo", []))
    assert "physiopipe.cohorts.dreamer_simulation" in named  # the levels that were planted
    assert "physiopipe.cohorts.dreamer_reported" in named


def test_fits_hang_on_the_code_of_the_cohorts_whose_tasks_and_splits_they_use() -> None:
    chosen = [["cohorts.downstream=[dreamer]"], ["cohorts.downstream=[eegmat]"]]
    same = ["robustness.methods=[]", "ablations.variants=[]"]
    one, other = (stage_code.stage_digests(preset_with(ROOT / "presets", "tiny", [*each, *same])) for each in chosen)
    changed = {stage for stage in one if stage in other and one[stage] != other[stage]}
    assert {"finetune-chance", "finetune-ours", "ablate", "robustness", "evaluate", "report"} <= changed
    assert "pretrain" not in changed


def test_ablations_hang_on_the_code_of_every_method_that_they_fit() -> None:
    from physiopipe.experiments.ablations import ABLATION_OF

    wanted = {method_module(each.method) for each in ABLATION_OF.values()}
    assert wanted <= set(stage_code._MODULES["ablate"])
