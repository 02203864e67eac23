"""`physiopipe clean`: what no current run needs is told, and removed when asked to; all else stays as it is."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from physiopipe import plan
from physiopipe.cli import app
from physiopipe.cli.training import ENCODER
from physiopipe.experiments.ablations import run_ablation
from physiopipe.experiments.cross_validation import CrossValidation, Study, run_method
from physiopipe.experiments.robustness import run_robustness
from physiopipe.params import Params, load_params
from physiopipe.params.presets import preset_with
from physiopipe.params.writing import dump_params

PRESETS = Path(__file__).parents[1] / "presets"
SMALL = (
    "data.challenge.sources=[georgia]",
    "simulate.challenge.records_per_source=2",
    "methods=[clip_prior]",
    "method={}",
    "robustness.methods=[clip_prior]",
    "ablations.variants=[leaky_neighbours, dual_masking]",
    "ablations.pretrain_epochs=2",
)
STALE = "0" * 24


def write_params(*assignments: str) -> Params:
    Path("params.yaml").write_text(dump_params(preset_with(PRESETS, "tiny", [*SMALL, *assignments])))
    return load_params(Path("params.yaml"))


def physiopipe(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def make_windows(params: Params, name: str) -> None:
    """What the workflow's rules do for a cohort, in their order."""
    cohort = ("--cohort", name)
    physiopipe("simulate", *cohort)
    physiopipe("discover", *cohort)
    for batch in plan.planned_batches(params, name):
        recordings = plan.recordings_file(params, name, batch)
        if name == "dreamer":
            physiopipe("unpack", *cohort, "--output", str(recordings))
        else:
            physiopipe("download", "--tree", plan.raw_folder(params, name).name, "--batch", batch.name)
        for part in [part for part in plan.planned_parts(params, name) if part.batch == batch.name]:
            which = (*cohort, "--modality", part.modality)
            files = [
                f"data/work/{step}/{part.folder.relative_to('data/parts')}.batch" for step in ("filtered", "resampled")
            ]
            raw = ("--recordings", str(recordings))
            physiopipe("filter", *which, "--batch", batch.name, *raw, "--output", files[0])
            physiopipe("resample", *which, "--filtered", files[0], "--output", files[1])
            sharded = ("--resampled", files[1], "--output", str(part.folder / "part.json"))
            physiopipe("shard", *which, "--batch", batch.name, *sharded)
    physiopipe("collect", *cohort)


def study(method: str, params: Params) -> Study:
    return Study(method, params, "dreamer", plan.DATA / "windows", ENCODER, Path(params.run.state_folder))


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file() and path.parts[:2] != ("data", "locks")}


@dataclass(frozen=True)
class Made:
    folder: Path
    needed: set[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A study of simulated cohorts with windows and fitted folds, its work removed: all of it is needed."""
    folder = tmp_path_factory.mktemp("study")
    before = Path.cwd()
    os.chdir(folder)
    try:
        params = write_params()
        for name in params.cohorts.in_use:
            make_windows(params, name)
        shutil.rmtree("data/work")
        run_method(study("clip_prior", params), Path("results/clip_prior.parquet"))
        run_robustness(study("clip_prior", params), Path("results/robust.parquet"))
        run_ablation("leaky_neighbours", study("ours", params), Path("results/leaky.parquet"))
        return Made(folder, files())
    finally:
        os.chdir(before)


@pytest.fixture
def needed(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Work in a copy of that study; the files it has."""
    shutil.copytree(made.folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return made.needed


def add_leftovers(params: Params) -> None:
    """Everything that earlier parameters, other cohorts and killed runs leave."""
    (part, *_) = plan.planned_parts(params, "challenge")
    shutil.copytree(part.folder, part.folder.with_name(STALE))
    shutil.copytree(part.folder, Path(f"data/parts/eegmat-ecg/all/{STALE}"))
    shutil.copytree(part.folder, part.folder.with_name(f".{STALE}.partial"))
    simulated = plan.simulated_file(params, "dreamer").parent
    shutil.copytree(simulated, simulated.with_name(STALE))
    shutil.copytree(simulated, Path(f"data/simulated/bcmi/{STALE}"))
    (unpacked,) = Path("data/raw/dreamer-unpacked").iterdir()
    shutil.copytree(unpacked, unpacked.with_name("0" * 16))
    Path("data/raw/eegmat-simulated").mkdir()
    for step, digest in (("filtered", part.digest), ("resampled", STALE), ("filtered", f".{STALE}")):
        work = Path(f"data/work/{step}/challenge-ecg/{part.batch}/{digest}.batch")
        work.parent.mkdir(parents=True, exist_ok=True)
        work.write_bytes(b"left")
    other = load_params(Path("params.yaml")).model_copy(
        update={"evaluate": params.evaluate.model_copy(update={"seeds": (7,)})}
    )
    run_method(study("clip_prior", other), Path("results/other.parquet"))
    Path("results/other.parquet").unlink()


def test_a_study_that_needs_all_of_it_is_left_as_it_is(needed: set[str]) -> None:
    assert "nothing to remove" in physiopipe("clean", "--remove")
    assert files() == needed


def test_what_is_not_needed_is_told_then_removed_and_then_there_is_nothing(needed: set[str]) -> None:
    add_leftovers(load_params(Path("params.yaml")))
    there = files()
    assert len(there - needed) > 20
    told = physiopipe("clean")
    assert files() == there
    for words in (
        "parts of other",
        "3 found",
        "simulated recordings",
        "unpacked recordings",
        "work of",
        "fitted folds",
    ):
        assert words in told
    removed = physiopipe("clean", "--remove")
    assert removed.count("removed: ") == told.count("not needed: ") == 6
    assert files() == needed
    assert not Path("data/raw/eegmat-simulated").exists()
    assert "nothing to remove" in physiopipe("clean", "--remove")


def test_parts_of_changed_parameters_go_and_folds_wait_until_the_windows_are_made(needed: set[str]) -> None:
    write_params("shard.challenge.ecg.max_windows_per_record=1")
    parts = {path for path in needed if path.startswith("data/parts/challenge-ecg/")}
    assert parts
    told = physiopipe("clean", "--remove")
    assert needed - files() == parts
    assert "left: state/finetune: the windows of challenge are still to be made" in told


def test_a_batch_under_way_is_kept(needed: set[str]) -> None:
    (part, *_) = plan.planned_parts(load_params(Path("params.yaml")), "challenge")
    work = Path(f"data/work/filtered/{part.folder.relative_to('data/parts')}.batch")
    work.parent.mkdir(parents=True)
    work.write_bytes(b"needed by what comes next")
    (part.folder / "part.json").unlink()
    physiopipe("clean", "--remove")
    assert work.exists()
    assert needed - files() == {str(part.folder / "part.json")}


def test_what_a_cohort_needs_that_is_not_planned_is_not_known(needed: set[str]) -> None:
    shutil.rmtree("data/plan/dreamer")
    plan._batches_in.cache_clear()  # another process would not know them either
    told = physiopipe("clean", "--remove")
    assert {path for path in needed - files() if "plan" not in path} == set()
    assert "of dreamer: its batches are not known yet" in told


def test_folds_of_another_device_stay(needed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a cluster, where the node that one cleans from has no GPU."""
    content = load_params(Path("params.yaml"))
    monkeypatch.setattr("physiopipe.methods.clip_prior.ClipPrior.fingerprint", lambda _: {"device": "cuda"})
    run_method(study("clip_prior", content), Path("results/clip_prior.parquet"))
    on_gpu = {str(path) for path in Path("state/finetune").iterdir()} - needed
    assert on_gpu
    monkeypatch.setattr("physiopipe.methods.clip_prior.ClipPrior.fingerprint", lambda _: {"device": "cpu"})
    physiopipe("clean", "--remove")
    assert on_gpu <= files()
    assert not {str(path) for path in Path("state/finetune").iterdir()} & {
        f"state/finetune/{run.digest}.parquet" for run in CrossValidation(study("clip_prior", content)).runs()
    }


@pytest.mark.usefixtures("needed")
def test_folds_where_other_studies_may_keep_theirs_are_left(tmp_path: Path) -> None:
    shutil.move("state", tmp_path / "shared")
    write_params(f"run.state_folder={tmp_path / 'shared'}", "evaluate.seeds=[5]")
    kept = sorted((tmp_path / "shared/finetune").iterdir())
    assert "lies outside this study" in physiopipe("clean", "--remove")
    assert sorted((tmp_path / "shared/finetune").iterdir()) == kept
