"""Every method by name. A method is one file, or one class of a family's file, and one line here; or an entry point of
another package (`physiopipe.methods`).

Import strings, so that nothing is loaded before it is asked for; no result depends on this module.
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from physiopipe.errors import PhysiopipeError, unknown
from physiopipe.plugins import Plugin, plugins

if TYPE_CHECKING:
    from physiopipe.methods.base import Method
    from physiopipe.params.section import Section

METHODS: dict[str, str] = {  # of this package
    "always_high": "physiopipe.methods.always_high:AlwaysHigh",
    "clip_prior": "physiopipe.methods.clip_prior:ClipPrior",
    "chance": "physiopipe.methods.chance:Chance",
    "handcrafted": "physiopipe.methods.handcrafted:Handcrafted",
    "nearest_neighbours": "physiopipe.methods.nearest_neighbours:NearestNeighbours",
    "ecg_only": "physiopipe.methods.single_modality:EcgOnly",
    "eeg_only": "physiopipe.methods.single_modality:EegOnly",
    "ours": "physiopipe.methods.ours:Ours",
    "transductive": "physiopipe.methods.transductive:Transductive",
    "in_domain": "physiopipe.methods.in_domain:InDomain",
    "mixed_features": "physiopipe.methods.mixed_features:MixedFeatures",
    "gated": "physiopipe.methods.fusions:Gated",
    "cross_attention": "physiopipe.methods.fusions:CrossAttention",
    "mixture": "physiopipe.methods.fusions:Mixture",
    "lin_style": "physiopipe.methods.lin_style:LinStyle",
    "single_lead": "physiopipe.methods.single_lead:SingleLead",
    "brant_x_style": "physiopipe.methods.brant_x_style:BrantXStyle",
    "mlf_capsnet": "physiopipe.methods.mlf_capsnet:MlfCapsNetMethod",
    "eeg_conformer": "physiopipe.methods.eeg_conformer:EegConformerMethod",
    "minirocket": "physiopipe.methods.minirocket:MiniRocketRidge",
    "simmtm": "physiopipe.methods.simmtm:SimMTM",
    "tfc": "physiopipe.methods.tfc:TFC",
    "one_fits_all": "physiopipe.methods.one_fits_all:OneFitsAllMethod",
    "time_llm": "physiopipe.methods.time_llm:TimeLLMMethod",
}


def method_places() -> Mapping[str, str]:
    """Import strings of all methods by name, those of other packages last.

    Raises:
        PhysiopipeError: another package offers one under a name that is taken.
    """
    return METHODS | {name: plugin.place for name, plugin in _of_others().items()}


def _of_others() -> Mapping[str, Plugin]:
    return plugins("method", METHODS)


def known_method(name: str) -> str:
    """The name itself.

    Raises:
        PhysiopipeError: no method has it; the nearest one that has is told.
    """
    if name not in method_places():
        raise PhysiopipeError(unknown("method", name, method_places()))
    return name


def method_module(name: str) -> str:
    """The module that a method is in."""
    return method_places()[known_method(name)].partition(":")[0]


def method_class(name: str) -> "type[Method]":
    """The class behind a name, see `known_method`.

    Raises:
        PhysiopipeError: as `known_method`, or what another package offers is no method.
    """
    if name not in METHODS:
        return _of_another(_of_others()[known_method(name)])
    module, _, attribute = METHODS[name].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


def _of_another(plugin: Plugin) -> "type[Method]":
    """The class that another package offers, looked at as far as can be without data."""
    base: Any = import_module("physiopipe.methods.base").Method  # which imports parameters, and these this module
    section: Any = import_module("physiopipe.params.section").Section
    found: Any = plugin.load()
    is_method = inspect.isclass(found) and issubclass(found, base)
    if not is_method:
        plugin.refuse("it is no subclass of physiopipe.methods.base.Method")
    if inspect.isabstract(found):
        plugin.refuse(f"it lacks {', '.join(sorted(found.__abstractmethods__))}")
    if lacking := [each for each in ("name", "title", "note") if not isinstance(getattr(found, each, None), str)]:
        plugin.refuse(f"it has no {', '.join(lacking)}")
    if found.name != plugin.name:
        plugin.refuse(f"the class calls itself {found.name!r}: both must be the same")
    has_settings = inspect.isclass(found.Settings) and issubclass(found.Settings, section)
    if not has_settings:
        plugin.refuse("its Settings are no physiopipe.params.Section")
    method: type[Method] = found
    return method


def settings_class(name: str) -> "type[Section]":
    """The class of a method's section of the parameters; imports neither torch nor scikit-learn."""
    return method_class(name).Settings


def missing_extras(name: str) -> str | None:
    """What is not installed of the distributions that a method needs besides the package's own, and what to do.

    A sentence for an error, or None where all are there. Nothing of them is imported.
    """
    missing = [each for each in method_class(name).extras if not _is_installed(each)]
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    install = "'physiopipe[methods]'" if name in METHODS else " ".join(missing)
    return (
        f"method {name!r} needs {' and '.join(missing)}, which {verb} not installed. Run: pip install {install}, or "
        f"take {name!r} out of `methods`."
    )


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
