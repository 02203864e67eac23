"""Studies run for real, each in a folder of its own, as after `git clone`."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLONED = [
    "Snakefile",
    "dvc.yaml",
    "params.yaml",
    "presets",
    "profiles",
    "workflow",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
]


@dataclass(frozen=True)
class Study:
    """A folder with the project's workflow, in a git repository of its own."""

    folder: Path

    def run(self, *command: str, expect: int = 0, timeout_s: float = 400) -> str:
        """Run a command here; its output, once its exit code was as expected."""
        done = subprocess.run(
            command, cwd=self.folder, env=environment(self.folder), text=True, timeout=timeout_s,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == expect, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
        return done.stdout

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command as the leader of a process group, so that all of it can be killed."""
        return subprocess.Popen(
            command, cwd=self.folder, env=environment(self.folder), text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def preset(self, name: str, *assignments: str) -> None:
        """Write params.yaml from a preset."""
        self.run("physiopipe", "preset", name, "--force", *(f"--set={text}" for text in assignments))

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "state")

    def parts(self) -> dict[str, int]:
        """Finished parts by path, with the time they were written (ns)."""
        return {
            str(path.relative_to(self.folder)): path.stat().st_mtime_ns
            for path in sorted(self.folder.glob("data/parts/*/*/[!.]*/part.json"))
        }


def environment(folder: Path) -> dict[str, str]:
    """This process's environment with the tools of its own installation first, and the package of the study."""
    tools = str(Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "SNAKEMAKE_"))}
    search = {"PATH": tools + os.pathsep + os.environ["PATH"], "PYTHONPATH": str(folder)}
    return kept | search | {"OPENBLAS_NUM_THREADS": "1"}


def kill(process: "subprocess.Popen[str]") -> None:
    """`kill -9` of a command and everything it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def new_study(folder: Path) -> Study:
    """A fresh study: the files a clone has, and the package."""
    for name in CLONED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    shutil.copytree(ROOT / "physiopipe", folder / "physiopipe", ignore=shutil.ignore_patterns("__pycache__"))
    study = Study(folder)
    study.run("git", "init", "-q", ".")
    study.commit()
    return study
