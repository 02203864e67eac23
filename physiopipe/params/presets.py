"""Named parameter files that hold what differs from the defaults, and values changed by `key.path=value`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from physiopipe.errors import PhysiopipeError, unknown
from physiopipe.params.reading import check_params
from physiopipe.params.study import StudyCohorts
from physiopipe.params.whole import Params

Folders = Path | Sequence[Path]  # where presets lie; of two files of one name the first one counts


def preset_names(folders: Folders) -> list[str]:
    """Names of the presets in these folders."""
    return sorted(_files(folders))


def _files(folders: Folders) -> dict[str, Path]:
    given = [folders] if isinstance(folders, Path) else list(folders)
    return {path.stem: path for folder in reversed(given) for path in folder.glob("*.yaml")}


def preset_with(folders: Folders, name: str, assignments: list[str]) -> Params:
    """A preset with `key.path=value` assignments applied (values in YAML), complete and checked as a whole.

    Args:
        name: of a preset, or the path of a file of the same kind (it ends in .yaml).
    """
    files = _files(folders)
    path = Path(name) if name.endswith(".yaml") else files.get(name)
    if path is None:
        raise PhysiopipeError(f"{unknown('preset', name, sorted(files))} Or name a file: ./mine.yaml.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PhysiopipeError(f"{path} cannot be read as a preset: {error}") from None
    if not isinstance(content, dict):
        raise PhysiopipeError(f"{path}: expected a mapping of sections, found {type(content).__name__}.")
    before = _cohorts_of(content)
    for assignment in sorted(assignments, key=lambda text: not text.startswith("cohorts.")):
        if not assignment.startswith("cohorts."):
            _leave_out(content, before - _cohorts_of(content))
            before = set()
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise PhysiopipeError(f"--set {assignment!r}: expected key.path=value, as in pretrain.epochs=2.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise PhysiopipeError(f"--set {assignment!r}: the value is not YAML: {error}") from None
        set_value(content, key, value, f"--set {assignment!r}")
    _leave_out(content, before - _cohorts_of(content))
    return check_params(content, f"preset {name}")


def _cohorts_of(content: dict[str, Any]) -> set[str]:
    """Cohorts that a preset uses; empty where it says that wrongly, which is found later."""
    chosen = content.get("cohorts") or {}
    try:
        return set(StudyCohorts.model_validate(chosen).in_use)
    except ValidationError:
        return set()


def _leave_out(content: dict[str, Any], names: set[str]) -> None:
    """Take out what a preset says of cohorts that an assignment has replaced by others."""
    for section in ("data", "simulate", "filter", "resample", "shard", "clips"):
        if isinstance(content.get(section), dict):
            content[section] = {key: value for key, value in content[section].items() if key not in names}


def edited_by_hand(path: Path, folders: Folders) -> list[str]:
    """Keys with values in a parameter file that no preset has; empty where there is no such file.

    A file that `physiopipe preset` wrote with `--set` counts as edited: its values are somebody's choice too.
    """
    if not path.is_file():
        return []
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        return [f"the whole of {path}"]
    presets = (preset_with(folders, name, []).model_dump(mode="json") for name in preset_names(folders))
    return min((_differences(preset, content) for preset in presets), key=len, default=[])


def _differences(preset: Any, content: Any, key: str = "") -> list[str]:
    if isinstance(preset, dict) and isinstance(content, dict):
        names = dict.fromkeys([*map(str, preset), *map(str, content)])
        ours, theirs = ({str(name): value for name, value in each.items()} for each in (preset, content))
        return [
            found
            for name in names
            for found in _differences(ours.get(name), theirs.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if preset == content else [f"{key}: {content}"]


def set_value(content: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Put a value at a dotted key of nested sections, in place; sections on the way are made."""
    *parents, last = key.split(".")
    place: Any = content
    for step in parents:
        place = place.setdefault(step, {})
        if not isinstance(place, dict):
            raise PhysiopipeError(f"{where}: {step!r} holds a value, not a section.")
    place[last] = value
