"""What the Snakemake workflow catalogue looks for, and the image that the workflow names."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from studies import ROOT, Study
from test_tiny_study import jobs

from physiopipe.params import load_params
from physiopipe.params.presets import preset_with
from physiopipe.params.writing import dump_params
from physiopipe.study_files import COPIED, preset_folders


@pytest.mark.workflow
@pytest.mark.parametrize("arguments", [(), ("--snakefile", "workflow/Snakefile"), ("--directory", ".test")])
def test_each_way_to_start_it_plans_every_job(study: Study, arguments: tuple[str, ...]) -> None:
    study.preset("tiny")
    shutil.copytree(ROOT / ".test", study.folder / ".test", ignore=shutil.ignore_patterns("data", "logs", ".snakemake"))
    planned = jobs(study.run("snakemake", *arguments, "--cores", "2", "--dry-run"))
    assert planned == {"simulate": 2, "discover": 2, "collect": 2, "overview": 3, "all": 1}


def test_the_test_case_is_the_tiny_preset() -> None:
    written = (ROOT / ".test/params.yaml").read_text(encoding="utf-8")
    assert written == dump_params(preset_with(preset_folders(), "tiny", [])), (
        "run: physiopipe preset tiny --force --params .test/params.yaml"
    )
    assert load_params(ROOT / ".test/params.yaml").simulated("dreamer")


def test_the_catalogue_is_told_how_to_use_it() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert usage["software-stack-deployment"] == {"conda": False, "apptainer": True}
    told = (ROOT / "config/README.md").read_text()
    assert "params.yaml" in told
    named = re.search(r'"docker://([a-z]+):\{__version__\}"', (ROOT / "workflow/Snakefile").read_text())
    assert named is not None
    built = re.findall(r"docker build -t ([a-z]+):VERSION", (ROOT / "Dockerfile").read_text() + told)
    assert built == [named[1]] * len(built)
    assert len(built) == 3


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, its continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = (line.partition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return [(name, arguments) for name, _, arguments in lines]


def test_the_image_names_a_user_that_it_does_not_know() -> None:
    """`docker run --user 1000:1000`: DVC asks who that is, and the image's list of users has no such number."""
    (told,) = (arguments for name, arguments in instructions() if name == "ENV")
    environment = dict(pair.split("=") for pair in told.split())
    asked = [sys.executable, "-c", "import getpass, pwd; pwd.getpwuid = {}.__getitem__; print(getpass.getuser())"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [environment["USER"]], done.stderr


@pytest.mark.slow
def test_the_recipe_makes_a_wheel_of_what_it_copies_and_installs_it(tmp_path: Path) -> None:
    found = instructions()
    assert [name for name, _ in found].count("FROM") == 2
    build, install = (text for name, text in found if name == "RUN" and "pip" in text)
    assert found.index(("RUN", build)) < [name for name, _ in found].index("FROM", 1)
    left_out = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    context = tmp_path / "context"

    def ignored(folder: str, names: list[str]) -> set[str]:
        relative = [(Path(folder) / name).relative_to(ROOT).as_posix() for name in names]
        patterns = [pattern.removeprefix("**/") for pattern in left_out]
        return {
            name
            for name, path in zip(names, relative, strict=True)
            for pattern, given in zip(patterns, left_out, strict=True)
            if fnmatch.fnmatch(name if given.startswith("**/") else path, pattern)
        }

    shutil.copytree(ROOT, context, ignore=ignored)
    tools = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", build.replace("/wheels", str(tmp_path / "wheels"))], cwd=context,
        env=os.environ | {"PATH": tools}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith("METADATA"))
        extras = set(re.findall(r"Provides-Extra: (\S+)", archive.read(metadata).decode()))
    for name in (*COPIED, "presets/tiny.yaml"):
        assert any(each.startswith(f"physiopipe/study/{name}") for each in names), name
    wanted = re.search(r"physiopipe-\*\.whl\)\[([a-z,]+)\]", install)
    assert wanted is not None
    assert {"workflow"} < set(wanted[1].split(",")) <= extras
    assert "--constraint /tmp/constraints.txt ${PIP_ARGS}" in install
    assert ("COPY", "constraints.txt /tmp/constraints.txt") in found
