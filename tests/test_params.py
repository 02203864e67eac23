"""Parameters: refused where wrong, complete where stored, described everywhere."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Params, check_params, load_params
from physiopipe.params.presets import preset_names, preset_with
from physiopipe.params.writing import dump_params

ROOT = Path(__file__).parents[1]
PRESETS = ROOT / "presets"


def _leaves(section: type[BaseModel], prefix: str = "") -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= _leaves(field.annotation, f"{prefix}{name}.")
        else:
            found[prefix + name] = field.description
    return found


def _keys(content: object, leaves: dict[str, str | None], prefix: str = "") -> set[str]:
    if not isinstance(content, dict) or prefix.removesuffix(".") in leaves:
        return {prefix.removesuffix(".")}
    return {key for name, inner in content.items() for key in _keys(inner, leaves, f"{prefix}{name}.")}


def test_every_parameter_is_described() -> None:
    assert [key for key, description in _leaves(Params).items() if not description] == []


def test_schema_file_is_the_models() -> None:
    stored = json.loads((ROOT / "workflow/schemas/params.schema.json").read_text())
    assert stored == Params.model_json_schema(), "run `physiopipe schema`"


def test_the_five_presets_are_there() -> None:
    assert preset_names(PRESETS) == ["demo", "paper", "sample", "study", "tiny"]


@pytest.mark.parametrize("name", preset_names(PRESETS))
def test_preset_is_complete_and_as_the_package_writes_it(name: str) -> None:
    text = (PRESETS / f"{name}.yaml").read_text()
    leaves = _leaves(Params)
    assert _keys(yaml.safe_load(text), leaves) == set(leaves)
    assert dump_params(check_params(yaml.safe_load(text), name)) == text


def test_params_in_force_are_the_demo() -> None:
    assert load_params(ROOT / "params.yaml") == load_params(PRESETS / "demo.yaml")


def test_paper_preset_is_the_papers_recipe() -> None:
    paper = load_params(PRESETS / "paper.yaml")
    assert paper.data.challenge.origin == "published"
    assert paper.data.dreamer.origin == "file"
    assert len(paper.data.challenge.sources) == 8
    assert not paper.data.challenge.allow_missing_sources
    assert paper.data.challenge.max_records_per_source is None
    assert (paper.pretrain.encoder.layers, paper.pretrain.encoder.heads, paper.pretrain.encoder.width) == (12, 8, 200)
    assert paper.finetune.eeg_encoder.layers == 12
    table_2 = paper.finetune
    assert (table_2.epochs, table_2.batch_size, table_2.learning_rate, table_2.dropout) == (10, 8, 1e-3, 0.2)
    assert (table_2.step_epochs, table_2.step_gamma) == (4, 0.1)


def test_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(
        PhysiopipeError, match=r"pretrain.learning_rat: unknown key; did you mean `pretrain.learning_rate`"
    ):
        check_params({"pretrain": {"learning_rat": 1}}, "params.yaml")


def test_every_fault_is_named_with_what_was_found() -> None:
    with pytest.raises(PhysiopipeError) as caught:
        check_params({"finetune": {"epochs": 0}, "filter": {"dreamer": {"eeg": {"order": "x"}}}}, "params.yaml")
    assert "finetune.epochs" in str(caught.value)
    assert "found 0" in str(caught.value)
    assert "filter.dreamer.eeg.order" in str(caught.value)


def test_corners_in_wrong_order_are_refused() -> None:
    content = {"filter": {"challenge": {"ecg": {"highpass_hz": 50, "lowpass_hz": 40, "notch_hz": {}}}}}
    with pytest.raises(PhysiopipeError, match="highpass_hz 50 is not below lowpass_hz 40"):
        check_params(content, "params.yaml")


@pytest.mark.parametrize("content", [None, [1], "text"])
def test_a_file_that_is_no_mapping_is_refused(content: object) -> None:
    with pytest.raises(PhysiopipeError, match="expected a mapping"):
        check_params(content, "params.yaml")


def test_preset_assignments_are_applied_and_checked() -> None:
    chosen = preset_with(PRESETS, "tiny", ["data.challenge.base_url=/some/folder", "pretrain.epochs=3"])
    assert chosen.data.challenge.base_url == "/some/folder"
    assert chosen.pretrain.epochs == 3
    with pytest.raises(PhysiopipeError, match=r"did you mean `pretrain.epochs`"):
        preset_with(PRESETS, "tiny", ["pretrain.epoch=3"])
    with pytest.raises(PhysiopipeError, match=r"expected key.path=value"):
        preset_with(PRESETS, "tiny", ["pretrain.epochs"])
    with pytest.raises(PhysiopipeError, match="no preset named 'tinny'"):
        preset_with(PRESETS, "tinny", [])
