"""Reading params.yaml: every fault is named with its key, and an unknown key with the closest known one."""

import difflib
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from physiopipe.errors import PhysiopipeError, unknown
from physiopipe.params.section import Section
from physiopipe.params.study import StudyCohorts
from physiopipe.params.whole import DEFAULT_METHODS, Params, params_class

# As yaml.safe_load, by libyaml where PyYAML has it: every job of the workflow starts with this
_SAFE_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Names(Section):
    """What must be known of a parameter file before its other sections can be checked."""

    cohorts: StudyCohorts = StudyCohorts()


def load_params(path: Path, with_methods: bool = True) -> Params:
    """Read and check params.yaml.

    Args:
        with_methods: whether the methods' sections are checked, which loads the methods.

    Raises:
        PhysiopipeError: naming every fault with its key, and for an unknown key the closest known one.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _SAFE_LOADER)
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: write one with `physiopipe preset demo`.") from None
    except IsADirectoryError:
        raise PhysiopipeError(f"{path} is a folder, expected a parameter file: name the file itself.") from None
    except PermissionError:
        raise PhysiopipeError(f"{path} may not be read: ask its owner, or change its permissions.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PhysiopipeError(f"{path} is not readable YAML: {error}") from None
    return check_params(content, str(path), with_methods)


def check_params(content: Any, where: str, with_methods: bool = True) -> Params:
    """Build Params from plain data; raise PhysiopipeError listing every fault."""
    if not isinstance(content, dict):
        raise PhysiopipeError(f"{where}: expected a mapping of sections, found {type(content).__name__}.")
    model: type[Params] = Params
    try:
        chosen = _Names.model_validate({"cohorts": content.get("cohorts", {})}).cohorts
        model = _model_of(content, chosen, where, with_methods)
        return model.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(f"  {_describe(fault, content, model)}" for fault in error.errors())
        raise PhysiopipeError(
            f"{where} has {error.error_count()} fault(s):\n{faults}\n"
            "Every key is described in workflow/schemas/params.schema.json."
        ) from None


def _model_of(content: dict[str, Any], chosen: StudyCohorts, where: str, with_methods: bool) -> type[Params]:
    """The model for the cohorts and methods that the content names."""
    from physiopipe.cohorts.registry import COHORTS, cohort_places, declare

    declare(chosen.own)
    for key, names in (("pretraining", (chosen.pretraining,)), ("downstream", chosen.downstream)):
        for name in names:
            if name not in COHORTS and name not in chosen.own and name not in cohort_places():
                raise PhysiopipeError(
                    f"{where}: cohorts.{key}: {unknown('cohort', name, [*cohort_places(), *chosen.own])}"
                )
    if not with_methods:
        return params_class(chosen.in_use, chosen.downstream, None, chosen.own)
    from physiopipe.methods.registry import method_places

    cohort_places()  # refuses what clashes; data jobs, which check no methods, go without this look at all packages
    known_methods = method_places()
    wanted: dict[str, None] = {}
    for key, names in _method_names(content):
        for name in names:
            if name not in known_methods:
                raise PhysiopipeError(f"{where}: {key}: {unknown('method', str(name), known_methods)}")
            wanted[name] = None
    return params_class(chosen.in_use, chosen.downstream, wanted, chosen.own)


def _method_names(content: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    """Methods that the content names, by key; names of another type are left to the models' own checks."""
    listed = content.get("methods", DEFAULT_METHODS)
    robust = (content.get("robustness") or {}).get("methods", ()) if isinstance(content.get("robustness"), dict) else ()
    own = content.get("method")
    found = [
        ("methods", listed if isinstance(listed, (list, tuple)) else ()),
        ("robustness.methods", robust if isinstance(robust, (list, tuple)) else ()),
        ("method", tuple(own) if isinstance(own, dict) else ()),
    ]
    return [(key, tuple(name for name in names if isinstance(name, str))) for key, names in found]


def _describe(fault: Any, content: dict[str, Any], model: type[BaseModel]) -> str:
    path = [str(step) for step in fault["loc"]]
    key = ".".join(path)
    if fault["type"] == "extra_forbidden":
        known = _known_keys(path[:-1], model)
        nearest = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        if nearest:
            return f"{key}: unknown key; did you mean `{'.'.join([*path[:-1], nearest[0]])}`?"
        return f"{key}: unknown key; known here: {', '.join(known) or 'none'}"
    found: Any = content
    for step in fault["loc"]:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            return f"{key}: {fault['msg']}"
    if isinstance(found, dict) or path[-1] == "base_url":  # an address may hold a password
        return f"{key}: {fault['msg']}"
    return f"{key}: {fault['msg']}, found {found!r}"


def _known_keys(path: list[str], model: type[BaseModel]) -> list[str]:
    section = model
    names = iter(path)
    for step in names:
        field = section.model_fields.get(step)
        if field is not None and get_origin(field.annotation) is dict and next(names, None) is not None:
            section = get_args(field.annotation)[1]  # sections by a name that is the study's choice
            if not (isinstance(section, type) and issubclass(section, BaseModel)):
                return []
            continue
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        section = field.annotation
    return list(section.model_fields)
