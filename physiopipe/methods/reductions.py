"""What a study changed of a method's published settings, in words for its row."""

from typing import TypeGuard

from physiopipe.params.section import Section


def reductions(settings: Section) -> str:
    """Every difference from the defaults, as `reduced: epochs 10 of 40; changed: scaling series, not training`.

    A smaller count than the default, or one where the default is no limit (null), is a reduction; anything else, a
    rate or a length among it, is a change. Sections inside are compared field by field. Empty where nothing differs.
    """
    reduced, changed = [], []
    for name, value, default in _differences(settings, type(settings)(), ""):
        words = name.replace("_", " ")
        if default is None and _is_count(value):
            reduced.append(f"{words} {value} of all")
        elif _is_count(value) and _is_count(default) and value < default:
            reduced.append(f"{words} {value} of {default}")
        else:
            changed.append(f"{words} {_said(value)}, not {_said(default)}")
    groups = (("reduced", reduced, ", "), ("changed", changed, "; "))
    return "; ".join(f"{kind}: {between.join(names)}" for kind, names, between in groups if names)


def _differences(given: Section, default: Section, where: str) -> list[tuple[str, object, object]]:
    found: list[tuple[str, object, object]] = []
    for name in type(given).model_fields:
        value, usual = getattr(given, name), getattr(default, name)
        if isinstance(value, Section) and type(value) is type(usual):
            found += _differences(value, usual, f"{where}{name} ")
        elif value != usual:
            found.append((f"{where}{name}", value, usual))
    return found


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _said(value: object) -> str:
    if value is None:
        return "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
