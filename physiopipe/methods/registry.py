"""Every method by name. A method is one file, or one class of a family's file, and one line here.

Import strings, so that nothing is loaded before it is asked for; no result depends on this module.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from physiopipe.errors import PhysiopipeError, unknown

if TYPE_CHECKING:
    from physiopipe.methods.base import Method
    from physiopipe.params.section import Section

METHODS: dict[str, str] = {
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
    "gated": "physiopipe.methods.fusions:Gated",
    "cross_attention": "physiopipe.methods.fusions:CrossAttention",
    "mixture": "physiopipe.methods.fusions:Mixture",
    "simmtm": "physiopipe.methods.simmtm:SimMTM",
    "tfc": "physiopipe.methods.tfc:TFC",
}


def known_method(name: str) -> str:
    """The name itself.

    Raises:
        PhysiopipeError: no method has it; the nearest one that has is told.
    """
    if name not in METHODS:
        raise PhysiopipeError(unknown("method", name, METHODS))
    return name


def method_module(name: str) -> str:
    """The module that a method is in."""
    return METHODS[known_method(name)].partition(":")[0]


def method_class(name: str) -> "type[Method]":
    """The class behind a name, see `known_method`."""
    module, _, attribute = METHODS[known_method(name)].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


def settings_class(name: str) -> "type[Section]":
    """The class of a method's section of the parameters; imports neither torch nor scikit-learn."""
    return method_class(name).Settings
