"""Parameters: refused where wrong, complete where stored, described everywhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize._yaml import dumps_yaml, parse_yaml_for_update
from pydantic import BaseModel

from physiopipe.cohorts.registry import COHORTS, cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.registry import METHODS
from physiopipe.params import Params, check_params, params_class
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


def every_section() -> type[Params]:
    """The model with the sections of every cohort and method."""
    downstream = tuple(name for name in COHORTS if cohort(name).tasks)
    return params_class(tuple(COHORTS), downstream, tuple(METHODS))


def test_every_parameter_is_described() -> None:
    assert [key for key, description in _leaves(every_section()).items() if not description] == []


def test_schema_file_is_the_models() -> None:
    stored = json.loads((ROOT / "workflow/schemas/params.schema.json").read_text())
    assert stored == every_section().model_json_schema(), "run `physiopipe schema`"


def test_the_presets_are_there() -> None:
    names = ["demo", "dreamer", "eegmat_published", "eleven", "encoders_worth", "open", "paper", "sample", "study"]
    names += ["study_eleven", "tiny"]
    assert preset_names(PRESETS) == names


@pytest.mark.parametrize("name", preset_names(PRESETS))
def test_a_preset_holds_what_differs_from_the_defaults_alone(name: str) -> None:
    stored = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    chosen = check_params(stored, name)
    plain = check_params({"cohorts": stored.get("cohorts", {}), "methods": list(chosen.methods)}, "defaults")
    assert _same(stored, plain.model_dump(mode="json")) == []


def _same(stored: object, defaults: object, key: str = "") -> list[str]:
    """Keys that are stored with the value that they have anyway."""
    if isinstance(stored, dict) and isinstance(defaults, dict):
        return [found for name, inner in stored.items() for found in _same(inner, defaults.get(name), f"{key}.{name}")]
    return [key] if stored == defaults and not key.startswith((".cohorts", ".methods")) else []


@pytest.mark.parametrize("name", preset_names(PRESETS))
def test_params_are_written_as_dvc_writes_them_back(name: str) -> None:
    """`dvc exp run -S` parses the file for an update and dumps it: one changed line stays one changed line."""
    text = dump_params(preset_with(PRESETS, name, []))
    assert dumps_yaml(parse_yaml_for_update(text, "params.yaml")) == text
    assert check_params(yaml.safe_load(text), name) == preset_with(PRESETS, name, [])


@pytest.mark.parametrize("name", preset_names(PRESETS))
def test_one_parameter_of_an_experiment_changes_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(dump_params(preset_with(PRESETS, name, [])))
    before = path.read_text().splitlines()
    apply_overrides(path, ["pretrain.weight_decay=0.0625"])  # what `dvc exp run -S` does
    after = path.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    new = changed[0][1]
    assert new.startswith("  weight_decay: 0.0625 ")
    assert new.endswith("# AdamW's weight decay")


def test_params_hold_the_cohorts_in_use_alone() -> None:
    content = yaml.safe_load(dump_params(preset_with(PRESETS, "demo", [])))
    assert set(content["data"]) == {"challenge", "dreamer"}
    assert set(content["clips"]) == {"dreamer"}
    with pytest.raises(PhysiopipeError, match="no cohort named 'dreamr'; did you mean 'dreamer'"):
        check_params({"cohorts": {"downstream": ["dreamr"]}}, "params.yaml")


def test_data_jobs_load_no_method() -> None:
    program = (
        "import sys; from pathlib import Path; from physiopipe.params import load_params\n"
        f"load_params(Path({str(ROOT / 'params.yaml')!r}), with_methods=False)\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'torch', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_paper_preset_is_the_papers_recipe() -> None:
    paper = preset_with(PRESETS, "paper", [])
    assert paper.data.challenge.origin == "published"
    assert paper.data.dreamer.origin == "file"
    assert len(paper.data.challenge.sources) == 8
    assert not paper.data.challenge.allow_missing_sources
    assert paper.data.challenge.max_records_per_source is None
    assert (paper.pretrain.encoder.layers, paper.pretrain.encoder.heads, paper.pretrain.encoder.width) == (12, 8, 200)
    assert paper.encoders.eeg.layers == 12
    table_2 = paper.method.ours
    assert (table_2.epochs, table_2.batch_size, table_2.learning_rate, table_2.dropout) == (10, 8, 1e-3, 0.2)
    assert (table_2.step_epochs, table_2.step_gamma) == (4, 0.1)


def test_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(
        PhysiopipeError, match=r"pretrain.learning_rat: unknown key; did you mean `pretrain.learning_rate`"
    ):
        check_params({"pretrain": {"learning_rat": 1}}, "params.yaml")


def test_every_fault_is_named_with_what_was_found() -> None:
    with pytest.raises(PhysiopipeError) as caught:
        check_params({"method": {"ours": {"epochs": 0}}, "filter": {"dreamer": {"eeg": {"order": "x"}}}}, "params.yaml")
    assert "method.ours.epochs" in str(caught.value)
    assert "found 0" in str(caught.value)
    assert "filter.dreamer.eeg.order" in str(caught.value)


@pytest.mark.parametrize("name", ["learning_rate", "backbone_learning_rate", "head_learning_rate"])
@pytest.mark.parametrize("method", ["ours", "gated", "ecg_only"])
def test_a_learning_rate_is_above_zero_and_at_most_one(method: str, name: str) -> None:
    for rate in (1e-6, 1.0):
        chosen = check_params({"methods": [method], "method": {method: {name: rate}}}, "params.yaml")
        assert getattr(chosen.method[method], name) == rate
    for rate, limit in ((1.001, "less than or equal to 1"), (0, "greater than 0")):
        with pytest.raises(PhysiopipeError, match=rf"method\.{method}\.{name}: .*{limit}.*found {rate}"):
            check_params({"methods": [method], "method": {method: {name: rate}}}, "params.yaml")


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
    with pytest.raises(PhysiopipeError, match="no preset named 'tinny'; did you mean 'tiny'"):
        preset_with(PRESETS, "tinny", [])


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    content = {"data": {"challenge": {"base_url": "https://me:secret@host/tree"}}}
    with pytest.raises(PhysiopipeError, match="netrc") as caught:
        check_params(content, "params.yaml")
    assert "secret" not in str(caught.value)


def test_a_file_that_names_one_key_keeps_the_cohorts_other_values() -> None:
    content = {
        "filter": {"dreamer": {"eeg": {"lowpass_hz": 45}}},
        "shard": {"dreamer": {"ecg": {"quality": {"mains_share": 0.5}}}},
    }
    chosen = check_params(content, "params.yaml", with_methods=False)
    expected = cohort("dreamer").modalities
    assert chosen.filter["dreamer"]["eeg"].model_dump() == expected["eeg"].filter.model_dump() | {"lowpass_hz": 45.0}
    assert chosen.shard["dreamer"]["ecg"].align == "end"
    assert chosen.shard["dreamer"]["ecg"].quality.amplitude_limit == expected["ecg"].shard.quality.amplitude_limit
    assert chosen.shard["dreamer"]["ecg"].quality.mains_share == 0.5


def test_a_preset_says_nothing_of_cohorts_that_others_replace() -> None:
    chosen = preset_with(PRESETS, "tiny", ["data.eegmat.origin=simulated", "cohorts.downstream=[eegmat]"])
    assert "dreamer" not in chosen.clips
    assert chosen.simulated("eegmat")
    assert chosen.simulate["challenge"].records_per_source == 4  # of the cohort that stayed
    with pytest.raises(PhysiopipeError, match=r"data\.dreamer: unknown key"):
        preset_with(PRESETS, "tiny", ["cohorts.downstream=[eegmat]", "data.dreamer.origin=simulated"])
