"""What the report says of a cohort's recordings besides its windows: the one place here that reads parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

from physiopipe.cohorts.registry import cohort as registered
from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.params import Filter, Params, Quality


@dataclass(frozen=True)
class DataFacts:
    """A cohort's recordings as the parameters have them.

    Attributes:
        cohort: its name;  title: as tables call it;  simulated: whether nobody was recorded.
        notes: sentences on origin and units.
        sources: what is expected;  allow_missing: whether the study goes on without some of them.
        tasks: names;  thresholds: the least value of each that is high.
        quality, filters: parameters of each modality.
        citations: name, what to cite, licence and access.
    """

    cohort: str
    title: str
    simulated: bool
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    allow_missing: bool
    tasks: tuple[str, ...]
    thresholds: Mapping[str, float]
    quality: Mapping[str, Quality]
    filters: Mapping[str, Filter]
    citations: tuple[tuple[str, str, str], ...]


def facts_of(params: Params, cohort: str) -> DataFacts:
    """The facts of a cohort."""
    known, data = registered(cohort), params.data[cohort]
    sources = tuple(getattr(data, "sources", (cohort,)))
    by_source = [SOURCE_INFO[name] for name in sources if name in SOURCE_INFO]
    citations = [(info.name, info.citation, f"{info.licence} ({info.access})") for info in by_source]
    thresholds = {task.name: params.clips[cohort].threshold(task) for task in known.tasks}
    return DataFacts(
        cohort=cohort,
        title=known.title,
        simulated=params.simulated(cohort),
        notes=known.data_notes(data),
        sources=sources,
        allow_missing=bool(getattr(data, "allow_missing_sources", False)),
        tasks=known.task_names,
        thresholds=thresholds,
        quality={modality: params.shard[cohort][modality].quality for modality in known.modalities},
        filters={modality: params.filter[cohort][modality] for modality in known.modalities},
        citations=tuple(citations) or ((known.title, known.citation, f"{known.licence} ({known.access})"),),
    )
