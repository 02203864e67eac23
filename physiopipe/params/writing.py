"""params.yaml as text: complete, commented from the models' descriptions, in the form that DVC writes back.

`dvc exp run -S key=value` reads and writes the file with ruamel.yaml; what it would write otherwise (lists in one line,
comments on lines of their own, empty lines behind lists, `null`) is never written here, so that it changes one line and
nothing else.
"""

from typing import Any

import yaml
from pydantic import BaseModel

from physiopipe.params.section import Section
from physiopipe.params.whole import Params

_HEAD = "# Written by `physiopipe preset`; edit values freely. What a key may hold: workflow/schemas/params.schema.json"


def dump_params(params: Params) -> str:
    """The whole of params.yaml as text: every key with its description as a comment.

    The one way parameter files are written, so that `git diff` shows changed values and nothing else.
    """
    lines = [_HEAD]
    for name in type(params).model_fields:
        lines += _lines(params, name, 0)
    return "\n".join(lines) + "\n"


def _lines(section: BaseModel, name: str, depth: int) -> list[str]:
    value = getattr(section, name)
    indent = "  " * depth
    about = type(section).model_fields[name].description or ""
    if isinstance(value, BaseModel):
        if not about and type(value).__doc__ not in (None, Section.__doc__, BaseModel.__doc__):
            about = (type(value).__doc__ or "").strip().splitlines()[0]
        inner = [line for key in type(value).model_fields for line in _lines(value, key, depth + 1)]
        if not inner:
            return [f"{indent}{name}: {{}}" + _comment(about)]
        return [f"{indent}{name}:" + _comment(about), *inner]
    if isinstance(value, dict) and value and all(isinstance(each, BaseModel) for each in value.values()):
        lines = [f"{indent}{name}:" + _comment(about)]
        for key, each in value.items():
            lines.append(f"{indent}  {key}:")
            lines += [line for field in type(each).model_fields for line in _lines(each, field, depth + 2)]
        return lines
    plain = _plain(value)
    if isinstance(plain, list) and plain:
        return [f"{indent}{name}:" + _comment(about), *(f"{indent}- {_scalar(item)}" for item in plain)]
    if plain is None:
        return [f"{indent}{name}:" + _comment(about)]
    return [f"{indent}{name}: {_scalar(plain)}" + _comment(about)]


def _comment(text: str) -> str:
    return f"  # {text}" if text else ""


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
