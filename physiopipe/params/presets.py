"""Complete parameter files by name, and values changed by `key.path=value`."""

from pathlib import Path
from typing import Any

import yaml

from physiopipe.errors import PhysiopipeError
from physiopipe.params.reading import check_params, load_params
from physiopipe.params.whole import Params


def preset_names(folder: Path) -> list[str]:
    """Names of the presets in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def preset_with(folder: Path, name: str, assignments: list[str]) -> Params:
    """A preset with `key.path=value` assignments applied (values in YAML), checked as a whole."""
    if name not in preset_names(folder):
        raise PhysiopipeError(f"no preset named {name!r} in {folder}; there are: {', '.join(preset_names(folder))}.")
    content = load_params(folder / f"{name}.yaml").model_dump(mode="json")
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise PhysiopipeError(f"--set {assignment!r}: expected key.path=value, as in pretrain.epochs=2.")
        *parents, last = key.split(".")
        place: Any = content
        for step in parents:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise PhysiopipeError(f"--set {assignment!r}: {step!r} holds a value, not a section.")
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise PhysiopipeError(f"--set {assignment!r}: the value is not YAML: {error}") from None
    return check_params(content, f"preset {name}")
