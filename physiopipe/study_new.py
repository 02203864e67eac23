"""A new study: a folder with what `dvc repro` needs besides the installed package."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Params
from physiopipe.params.writing import dump_params
from physiopipe.study_files import COPIED, study_files

_ENGINES = "pip install 'physiopipe[workflow]'"
_TOOLS = {"git": "install git", "dvc": _ENGINES, "snakemake": _ENGINES}


def new_study(folder: Path, params: Params) -> None:
    """Write a study into a folder that is missing or empty, with git and DVC initialised; all of it or nothing.

    Raises:
        PhysiopipeError: the folder holds something, or git, dvc or snakemake is not installed or fails.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        found = "is no folder" if not folder.is_dir() else f"holds {sorted(folder.iterdir())[0].name} already"
        raise PhysiopipeError(f"{folder} {found}: name a new folder, or an empty one.")
    commands = {name: _command(name) for name in _TOOLS}
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        study = made / folder.name
        study.mkdir()  # of ordinary permissions: a temporary folder is for its owner alone
        _write(study, params, commands)
        study.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(folder: Path, params: Params, commands: dict[str, str]) -> None:
    source = study_files()
    for name in COPIED:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source / name, target)
    (folder / "params.yaml").write_text(dump_params(params), encoding="utf-8")
    config = (folder / ".dvc/config").read_bytes()
    shutil.rmtree(folder / ".dvc")  # `dvc init` makes it, with an empty config
    _run([commands["git"], "init", "--quiet", "."], folder)
    _run([commands["dvc"], "init", "--quiet"], folder)
    (folder / ".dvc/config").write_bytes(config)
    _run([commands["git"], "add", "--all"], folder)


def _command(name: str) -> str:
    """The program of a name: the one beside this Python first, also where its environment was not activated."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise PhysiopipeError(f"{name} is not installed, and a study needs it. Run: {_TOOLS[name]}.")
    return found


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise PhysiopipeError(f"`{' '.join(command)}` failed, so there is no new study: {said}")
