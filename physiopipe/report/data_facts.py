"""What the report says of a cohort's recordings besides its windows: the one place here that reads parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    data, shard, filters = (getattr(part, cohort) for part in (params.data, params.shard, params.filter))
    sources = tuple(getattr(data, "sources", (cohort,)))
    modalities = tuple(type(shard).model_fields)
    simulated = data.origin == "simulated"
    downstream = cohort == "dreamer"
    notes: tuple[str, ...] = (
        f"Origin: {'simulated' if simulated else getattr(data, 'base_url', 'the file from its authors')}.",
    )
    if downstream:
        notes += (
            f"The file documents no units: one unit of its EEG is taken as {data.eeg_unit_uv:g} µV; the unit of its "
            "ECG is not known.",
        )
    tasks = ("valence", "arousal", "dominance") if downstream else ()
    infos = [SOURCE_INFO[name] for name in sources]
    return DataFacts(
        cohort=cohort,
        title="DREAMER" if downstream else cohort,
        simulated=simulated,
        notes=notes,
        sources=sources,
        allow_missing=bool(getattr(data, "allow_missing_sources", False)),
        tasks=tasks,
        thresholds=dict.fromkeys(tasks, float(params.finetune.high_from)),
        quality={modality: getattr(shard, modality).quality for modality in modalities},
        filters={modality: getattr(filters, modality) for modality in modalities},
        citations=tuple((info.name, info.citation, f"{info.licence} ({info.access})") for info in infos),
    )
