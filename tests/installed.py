"""The package as others get it: its wheel in an environment of its own, outside the checkout."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SETTINGS = ("FIND_LINKS", "INDEX_URL", "EXTRA_INDEX_URL")  # pip's, which uv knows by names of its own


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel and what it needs.

    Attributes:
        folder: of the environment.
        home: where commands run by default: outside the checkout.
    """

    folder: Path
    home: Path

    def install(self, *arguments: str) -> None:
        """Install packages, in the versions of constraints.txt."""
        python = str(self.folder / "bin" / "python")
        uv("pip", "install", "--quiet", "--python", python, "--constraint", str(ROOT / "constraints.txt"), *arguments)

    def run(self, *command: str, within: Path | None = None, expect: int = 0, timeout_s: float = 900) -> str:
        """Run a command of the environment; its output, once its exit code was as expected."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        path = os.pathsep.join([str(self.folder / "bin"), *os.environ["PATH"].split(os.pathsep)])
        done = subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]], cwd=within or self.home, env=kept | {"PATH": path},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, check=False,
        )  # fmt: skip
        assert done.returncode == expect, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
        return done.stdout


def uv(*arguments: str) -> str:
    """Run uv, with pip's settings of this machine."""
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found is not None, "uv is missing: pip install -c constraints.txt uv (`make install` does)"
    settings = {f"UV_{name}": value for name in _SETTINGS if (value := os.environ.get(f"PIP_{name}"))}
    if certificate := os.environ.get("PIP_CERT"):
        settings["SSL_CERT_FILE"] = certificate
    done = subprocess.run([found, *arguments], env=settings | os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"uv {' '.join(arguments)}:\n{done.stderr[-4000:]}"
    return done.stdout


def install_wheel(folder: Path, extras: str = "workflow") -> Installed:
    """Build the wheel, and install it with these extras into an empty environment below `folder`."""
    uv("build", "--quiet", "--wheel", "--out-dir", str(folder / "wheel"), str(ROOT))
    (wheel,) = (folder / "wheel").glob("*.whl")
    uv("venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    assert uv("pip", "list", "--quiet", "--python", str(folder / "venv")) == ""
    (folder / "home").mkdir()
    made = Installed(folder / "venv", folder / "home")
    made.install(f"{wheel}[{extras}]")
    return made
