"""Reading params.yaml: every fault is named with its key, and an unknown key with the nearest known one."""

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from physiopipe.errors import PhysiopipeError
from physiopipe.params.whole import Params

# As yaml.safe_load, by libyaml where PyYAML has it: every job of the workflow starts with this
_SAFE_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_params(path: Path) -> Params:
    """Read and check params.yaml; every fault is named with its key, and unknown keys with the nearest known one."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _SAFE_LOADER)
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: write one with `physiopipe preset demo`.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PhysiopipeError(f"{path} is not readable YAML: {error}") from None
    return check_params(content, str(path))


def check_params(content: Any, where: str) -> Params:
    """Build Params from plain data; raise PhysiopipeError listing every fault."""
    if not isinstance(content, dict):
        raise PhysiopipeError(f"{where}: expected a mapping of sections, found {type(content).__name__}.")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(f"  {_describe(fault, content)}" for fault in error.errors())
        raise PhysiopipeError(
            f"{where} has {error.error_count()} fault(s):\n{faults}\n"
            "Every key is described in workflow/schemas/params.schema.json."
        ) from None


def _describe(fault: Any, content: dict[str, Any]) -> str:
    path = [str(step) for step in fault["loc"]]
    key = ".".join(path)
    if fault["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(path[-1], _known_keys(path[:-1]), n=1, cutoff=0.5)
        if nearest:
            return f"{key}: unknown key; did you mean `{'.'.join([*path[:-1], nearest[0]])}`?"
        return f"{key}: unknown key; known here: {', '.join(_known_keys(path[:-1]))}"
    found: Any = content
    for step in fault["loc"]:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            return f"{key}: {fault['msg']}"
    return f"{key}: {fault['msg']}, found {found!r}" if not isinstance(found, dict) else f"{key}: {fault['msg']}"


def _known_keys(path: list[str]) -> list[str]:
    section: type[BaseModel] = Params
    for step in path:
        field = section.model_fields.get(step)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        section = field.annotation
    return list(section.model_fields)
