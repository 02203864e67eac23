"""Methods and cohorts of other packages, which name them as entry points; nothing of theirs is imported to list them.

A package's metadata says, for `physiopipe.methods` or `physiopipe.cohorts`, a name and where the class or object is.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, NoReturn

from physiopipe.errors import PhysiopipeError

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Plugin:
    """What another package offers.

    Attributes:
        kind: `method` or `cohort`.
        name: as parameters call it.
        place: an import string, `module:attribute`.
        package: name and version of the distribution.
    """

    kind: str
    name: str
    place: str
    package: str

    def load(self) -> Any:
        """The class or object itself.

        Raises:
            PhysiopipeError: it cannot be imported, whatever the reason, or there is none at its place.
        """
        module, _, attribute = self.place.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except Exception as error:  # another package's code: anything may come
            self.refuse(f"loading it failed with {type(error).__name__}: {error}")

    def refuse(self, why: str) -> NoReturn:
        """Raise PhysiopipeError, with the package's name."""
        raise PhysiopipeError(
            f"the package {self.package} offers the {self.kind} {self.name!r} ({self.place}), and {why}. Mend or "
            f"uninstall that package, or take {self.name!r} out of params.yaml."
        )


def plugins(kind: str, own: Collection[str]) -> Mapping[str, Plugin]:
    """What installed packages offer of a kind, by name.

    Args:
        kind: `method` or `cohort`.
        own: names that this package has itself.

    Raises:
        PhysiopipeError: a name is no name for parameters, is one of this package's, or is offered twice.
    """
    found = _offered(kind)
    for plugin in found:
        if _NAME.fullmatch(plugin.name) is None:
            plugin.refuse("a name is made of lower-case letters, digits and _, and starts with a letter")
        if ":" not in plugin.place:
            plugin.refuse("its entry point names no attribute, as in `package.module:Class`")
        if plugin.name in own:
            plugin.refuse(f"physiopipe has a {kind} of that name itself")
        if others := sorted({each.package for each in found if each.name == plugin.name} - {plugin.package}):
            plugin.refuse(f"{' and '.join(others)} offers one of the same name")
    return MappingProxyType({plugin.name: plugin for plugin in found})


@cache
def _offered(kind: str) -> tuple[Plugin, ...]:
    listed = {
        Plugin(kind, each.name, each.value, f"{each.dist.name} {each.dist.version}" if each.dist else "(unknown)")
        for each in entry_points(group=f"physiopipe.{kind}s")
    }
    return tuple(sorted(listed, key=lambda plugin: (plugin.name, plugin.package)))
