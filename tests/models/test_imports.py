"""The networks need torch, numpy and safetensors, and nothing else that the package needs."""

import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.weights import save_encoder
from physiopipe.params import Encoder

SCRIPT = """
import importlib, json, pkgutil, sys
from types import SimpleNamespace

class Blocked:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocked())
import physiopipe.models
names = [found.name for found in pkgutil.iter_modules(physiopipe.models.__path__)]
for name in names:
    importlib.import_module(f"physiopipe.models.{name}")

import torch
from pathlib import Path
from physiopipe.models.weights import load_encoder, read_metadata
sizes = SimpleNamespace(**json.loads(read_metadata(Path(WEIGHTS))["encoder"]))
encoder = load_encoder(Path(WEIGHTS), sizes).eval()
print(len(names), tuple(encoder(torch.zeros(1, 2, 3, 200)).shape))
try:
    import pydantic
except ModuleNotFoundError:
    print("pydantic is blocked")
"""


def of_distributions(wanted: set[str]) -> set[str]:
    """Top-level modules of these distributions and of all that they require."""
    waiting, found = list(wanted), set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        needed = [Requirement(text) for text in requires(name) or ()]
        waiting += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    known = packages_distributions()
    return {top for top, names in known.items() if found & {canonicalize_name(name) for name in names}}


@pytest.mark.slow  # a process of its own, with torch
def test_networks_load_and_run_where_nothing_else_can_be_imported(tmp_path: Path) -> None:
    sizes = Encoder(layers=1, width=40, feedforward=40, heads=4, position_kernel=(3, 3))
    save_encoder(tmp_path / "weights.safetensors", CrissCrossEncoder(sizes), {"encoder": sizes.model_dump_json()})
    allowed = {"physiopipe", *of_distributions({"torch", "numpy", "safetensors"})}
    assert {"pydantic", "yaml", "scipy", "pandas", "sklearn", "blake3"}.isdisjoint(allowed)
    text = f"ALLOWED, WEIGHTS = {allowed!r}, {str(tmp_path / 'weights.safetensors')!r}\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    modules, shape, blocked = done.stdout.partition(" ")[0], done.stdout.splitlines()[0], done.stdout.splitlines()[-1]
    assert int(modules) > 25
    assert shape.endswith("(1, 2, 3, 200)")
    assert blocked == "pydantic is blocked"
