"""params.yaml as text: complete, commented from the models' descriptions."""

from typing import Any

import yaml
from pydantic import BaseModel

from physiopipe.params.whole import Params


def dump_params(params: Params) -> str:
    """The whole of params.yaml as text: every key with its description as a comment.

    The one way parameter files are written, so that `git diff` shows changed values and nothing else.
    """
    lines = [
        "# Written by `physiopipe preset`; edit values freely. What a key may hold: workflow/schemas/params.schema.json"
    ]
    for name in type(params).model_fields:
        lines.append("")
        lines += _lines(params, name, 0)
    return "\n".join(lines) + "\n"


def _lines(section: BaseModel, name: str, depth: int) -> list[str]:
    value = getattr(section, name)
    indent = "  " * depth
    if isinstance(value, BaseModel):
        inner = [line for key in type(value).model_fields for line in _lines(value, key, depth + 1)]
        about = (type(value).__doc__ or "").strip().splitlines()
        note = f"  # {about[0]}" if about and type(value).__doc__ != BaseModel.__doc__ else ""
        return [f"{indent}{name}:{note}", *inner]
    about = [type(section).model_fields[name].description or ""]
    text = yaml.safe_dump(
        _plain(value), default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    ).removesuffix("...\n")
    return [f"{indent}{name}: {text.strip()}" + (f"  # {about[0]}" if about[0] else "")]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
