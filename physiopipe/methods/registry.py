"""Every method by name. A method is one file, or one class of a family's file, and one line here.

Import strings, so that nothing is loaded before it is asked for; no result depends on this module.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
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


def known_method(name: str) -> str:
    """The name itself.

    Raises:
        PhysiopipeError: no method has it; the nearest one that has is told.
    """
    if name not in METHODS:
        raise PhysiopipeError(unknown("method", name, METHODS))
    return name


def method_class(name: str) -> "type[Method]":
    """The class behind a name, see `known_method`."""
    module, _, attribute = METHODS[known_method(name)].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


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
    return (
        f"method {name!r} needs {' and '.join(missing)}, which {verb} not installed. Run: pip install "
        f"'physiopipe[methods]', or take {name!r} out of `methods`."
    )


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
