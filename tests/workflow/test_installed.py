"""What others do: install the wheel into an empty environment, begin a study, run it; no checkout is in reach."""

from pathlib import Path

import pandas as pd
import pytest
from installed import ROOT, Installed, install_wheel

import physiopipe

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(1800)]  # a loaded machine takes several times as long

# Each stage is some seconds of starting Python: the fewest that end in a report
FEWER = ("methods=[chance, ours]", "ablations.variants=[]", "robustness.methods=[]", "run.threads=1")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install_wheel(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def study(installed: Installed) -> Path:
    """A study that was begun and run to its report; tests go on in it."""
    chosen = [word for text in FEWER for word in ("--set", text)]
    assert "next: cd study && dvc repro" in installed.run("physiopipe", "new", "study", "--preset", "tiny", *chosen)
    installed.run("dvc", "repro", within=installed.home / "study")
    return installed.home / "study"


def test_a_study_is_begun_and_run_from_the_wheel_alone(installed: Installed, study: Path) -> None:
    where = installed.run("python", "-c", "import physiopipe; print(physiopipe.__file__)")
    assert where.startswith(str(installed.folder))
    assert installed.run("physiopipe", "--version") == f"physiopipe {physiopipe.__version__}\n"
    assert not (study / "physiopipe").exists()
    page = (study / "results/dreamer/report.html").read_text()
    assert "SIMULATED cohort" in page
    assert "| Ours" in (study / "results/dreamer/table1.md").read_text()
    again = installed.run("dvc", "repro", within=study)
    assert again.count("Running stage") == 1  # `inputs`, which always looks
    assert "Nothing to be done" in installed.run("snakemake", "--cores", "2", "windows", within=study)


def test_presets_come_with_the_wheel_and_a_study_may_have_its_own(installed: Installed) -> None:
    installed.run("physiopipe", "new", "other", "--preset", "open", "--set", "evaluate.seeds=[3]")
    study = installed.home / "other"
    assert "- 3" in (study / "params.yaml").read_text()
    installed.run("physiopipe", "preset", "tiny", "--force", within=study)
    (study / "presets").mkdir()
    (study / "presets/mine.yaml").write_text("evaluate: {bootstrap: 321}\n")
    installed.run("physiopipe", "preset", "mine", within=study)
    assert "bootstrap: 321" in (study / "params.yaml").read_text()


def test_packages_of_others_get_their_row_their_stage_and_their_line(installed: Installed, study: Path) -> None:
    examples = [str(ROOT / "examples" / name) for name in ("physiopipe-example-method", "physiopipe-example-cohort")]
    installed.install("--no-deps", *examples)
    assert "line_length: Line length. Nearest class mean" in installed.run("physiopipe", "methods")
    assert "eyes_closed: Eyes closed (example); eeg (2), ecg (1); tasks closed" in installed.run(
        "physiopipe", "cohorts"
    )
    chosen = (
        "cohorts.downstream=[eyes_closed]", "data.eyes_closed.origin=simulated", "simulate.eyes_closed.clip_s=25",
        "clips.eyes_closed.last_s=20", "methods=[always_high, line_length]", "ablations.variants=[]",
        "robustness.methods=[]", "evaluate.protocol=crossval", "run.threads=1",
    )  # fmt: skip
    changes = [word for text in chosen for word in ("--set", text)]
    installed.run("physiopipe", "preset", "tiny", "--force", *changes, within=study)
    wrong = installed.run(
        "physiopipe", "preset", "tiny", "--set", "method.line_length.shrinkag=2", within=study, expect=2
    )
    assert "did you mean `method.line_length.shrinkage`" in wrong
    installed.run("dvc", "repro", within=study)
    table = pd.read_csv(study / "results/eyes_closed/table1.csv")
    auc = table[(table["method"] == "line_length") & (table["metric"] == "auc")]["value_percent"]
    assert auc.min() > 70  # alpha is planted 1.5 times as large
    page = (study / "results/eyes_closed/report.html").read_text()
    assert "Line length" in page
    assert "SIMULATED" in page
    stages = [f"finetune@eyes_closed-{name}" for name in ("always_high", "line_length")]
    assert "up to date" in installed.run("dvc", "status", *stages, within=study)
    (module,) = installed.folder.rglob("physiopipe_example_method/features.py")
    module.write_text(module.read_text().replace("steps > 0", "steps > 1e-9"))
    installed.run("physiopipe", "inputs", within=study)
    stale = installed.run("dvc", "status", *stages, within=study)
    assert stages[1] in stale
    assert stages[0] not in stale
