"""params.yaml as one model, whose sections of cohorts and methods are those of the ones in use."""

import copy
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationError, create_model

from physiopipe.params.encoders import Encoders
from physiopipe.params.own_cohorts import OwnCohort
from physiopipe.params.pretraining import Pretrain
from physiopipe.params.run import Run
from physiopipe.params.section import Section
from physiopipe.params.study import Ablations, Evaluate, Robustness, StudyCohorts

DEFAULT_METHODS = (
    "always_high", "clip_prior", "chance", "handcrafted", "ecg_only", "eeg_only", "ours", "gated", "cross_attention",
    "mixture",
)  # fmt: skip


class ByName(Section):
    """Sections of things that have names: cohorts, modalities, methods."""

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            known = ", ".join(type(self).model_fields) or "none"
            raise KeyError(f"no section {name!r} here; there are: {known}") from None

    def __contains__(self, name: str) -> bool:
        return name in type(self).model_fields


class Params(Section):
    """The whole of params.yaml. Which names `data` to `clips` and `method` have is the study's choice."""

    cohorts: StudyCohorts = StudyCohorts()
    data: ByName = Field(ByName(), description="where the recordings of each cohort come from")
    simulate: ByName = ByName()
    filter: ByName = ByName()
    resample: ByName = ByName()
    shard: ByName = ByName()
    clips: ByName = ByName()
    pretrain: Pretrain = Pretrain()
    encoders: Encoders = Encoders()
    methods: tuple[str, ...] = Field(
        DEFAULT_METHODS, min_length=1, description="measured rows, in this order; other fusions get their own table"
    )
    method: ByName = ByName()
    evaluate: Evaluate = Evaluate()
    ablations: Ablations = Ablations()
    robustness: Robustness = Robustness()
    run: Run = Run()

    def simulated(self, cohort: str) -> bool:
        """Whether a cohort of the study is simulated."""
        return bool(self.data[cohort].origin == "simulated")

    def with_section(self, **changes: Any) -> Self:
        """A copy with other sections, not checked anew."""
        return self.model_copy(update=changes)

    def __reduce__(self) -> Any:
        """Pickle by content: the class of a study's parameters is made at run time, and has no name to import it by."""
        if type(self) is Params:
            return super().__reduce__()
        methods = None if isinstance(self.method, _Unchecked) else tuple(type(self.method).model_fields)
        return _rebuilt, (self.cohorts, methods, self.model_dump())


class _Unchecked(Section):
    """The methods' sections as they stand: data jobs start without the libraries that methods need."""

    model_config = ConfigDict(extra="allow")


def _rebuilt(cohorts: StudyCohorts, methods: tuple[str, ...] | None, content: dict[str, Any]) -> Params:
    return params_class(cohorts.in_use, cohorts.downstream, methods, cohorts.own).model_validate(content)


def params_class(
    cohorts: Iterable[str],
    downstream: Iterable[str],
    methods: Iterable[str] | None,
    own: Mapping[str, OwnCohort] | None = None,
) -> type[Params]:
    """The model of a study with these cohorts and methods.

    Args:
        methods: names whose sections are checked; None: the section `method` is left unchecked.
        own: cohorts that the study declares itself.
    """
    from physiopipe.cohorts.registry import declare

    declare(own or {})
    key = tuple(dict.fromkeys(cohorts)), tuple(downstream)
    declared = tuple(sorted((name, each.model_dump_json()) for name, each in (own or {}).items()))
    return _params_class(*key, None if methods is None else tuple(dict.fromkeys(methods)), declared)


@lru_cache(maxsize=64)
def _params_class(
    cohorts: tuple[str, ...],
    downstream: tuple[str, ...],
    methods: tuple[str, ...] | None,
    _declared: tuple[tuple[str, str], ...],
) -> type[Params]:
    from physiopipe.cohorts.registry import cohort

    known = {name: cohort(name) for name in cohorts}
    sections: dict[str, dict[str, Any]] = {
        "data": {name: each.data() for name, each in known.items()},
        "simulate": {name: each.simulate() for name, each in known.items()},
    }
    for step in ("filter", "resample", "shard"):
        sections[step] = {
            name: _group(f"{step}_{name}", {kind: getattr(one, step) for kind, one in each.modalities.items()})()
            for name, each in known.items()
        }
    sections["clips"] = {name: known[name].clips() for name in downstream}
    fields: dict[str, Any] = {}
    for name, members in sections.items():
        group = _group(name, members)
        fields[name] = (group, Field(group(), description=Params.model_fields[name].description))
    if methods is None:
        fields["method"] = (_Unchecked, _Unchecked())
    else:
        from physiopipe.methods.registry import settings_class

        group = _group("method", {name: settings_class(name)() for name in methods})
        fields["method"] = (group, group())
    return create_model("Params", __base__=Params, __doc__=Params.__doc__, **fields)


def _group(name: str, defaults: dict[str, Any]) -> type[ByName]:
    own = {key: _defaulting_to(value) if isinstance(value, Section) else type(value) for key, value in defaults.items()}
    fields: dict[str, Any] = {
        key: (kind, kind() if isinstance(defaults[key], Section) else defaults[key]) for key, kind in own.items()
    }
    return create_model(f"{name.title().replace('_', '')}Sections", __base__=ByName, **fields)


def _defaulting_to(section: Section) -> type[Section]:
    """The class of a section with this one's values as defaults: a file that names one key keeps the others."""
    kind = type(section)
    if kind.model_fields and section != _plain(kind):
        fields: dict[str, Any] = {}
        for name, info in kind.model_fields.items():
            value = getattr(section, name)
            changed = copy.copy(info)
            annotation: Any = info.annotation
            if isinstance(value, Section):
                annotation = _defaulting_to(value)
                value = annotation()
            changed.annotation, changed.default, changed.default_factory = annotation, value, None
            fields[name] = (annotation, changed)
        return create_model(kind.__name__, __base__=kind, __doc__=kind.__doc__, **fields)
    return kind


def _plain(kind: type[Section]) -> Section | None:
    """A section of the class's own defaults, or None where it has none."""
    try:
        return kind()
    except ValidationError:
        return None
