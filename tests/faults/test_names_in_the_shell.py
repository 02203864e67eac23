"""A name in params.yaml is never a part of a command, however a stage is run."""

from pathlib import Path

import pytest
import yaml
from studies import Study, new_study

pytestmark = pytest.mark.workflow

OWNED = "owned"
# One of these, run as a part of a command, would write the file `owned`
NAMES = (
    "chance; touch owned",
    "$(touch owned)",
    "`touch owned`",
    "chance' ; touch owned ; '",
    "chance\ntouch owned\n",
    "chance\n'\ntouch owned\n'",
    "--help",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = new_study(tmp_path_factory.mktemp("names") / "study")
    made.preset("tiny")
    return made


def hostile(study: Study, section: str, value: object) -> str:
    """params.yaml with `section` set; the parameters before."""
    path = study.folder / "params.yaml"
    before = path.read_text()
    content = yaml.safe_load(before)
    *above, last = section.split(".")
    place = content
    for name in above:
        place = place[name]
    place[last] = value
    path.write_text(yaml.safe_dump(content))
    return before


@pytest.mark.parametrize("value", [list(NAMES), {"chance": "chance; touch owned"}], ids=["list", "mapping"])
def test_no_stage_runs_what_a_name_says(study: Study, value: object) -> None:
    """Past `inputs`, which would refuse them: one stage by itself, as DVC lets anyone run it."""
    before = hostile(study, "methods", value)
    try:
        output = study.run("dvc", "repro", "--force", "--keep-going", "--single-item", "finetune", expect=255)
    finally:
        (study.folder / "params.yaml").write_text(before)
    assert not (study.folder / OWNED).exists(), output
    assert "error: " in output


def test_the_pretraining_cohort_is_no_part_of_a_command_either(study: Study) -> None:
    before = hostile(study, "cohorts.pretraining", NAMES[0])
    try:
        output = study.run("dvc", "repro", "--force", "--single-item", "pretraining_windows", expect=255)
    finally:
        (study.folder / "params.yaml").write_text(before)
    assert "no cohort named 'challenge" in output or "no cohort named 'chance; touch owned'" in output
    assert not (study.folder / OWNED).exists()


def test_verbs_take_such_names_for_names(study: Study) -> None:
    for name in NAMES[:2]:
        output = study.run("physiopipe", "finetune", "--cohort", "dreamer", f"--method={name}", expect=2)
        assert "no method named" in output
        assert "Traceback" not in output
        output = study.run("physiopipe", "windows", f"--cohort={name}", expect=2)
        assert "no cohort named" in output
    assert not (study.folder / OWNED).exists()


def test_no_command_of_dvc_yaml_holds_a_value_that_is_not_quoted() -> None:
    stages = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        assert "${" not in stage["cmd"].replace("${item}", ""), name
