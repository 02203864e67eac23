"""A cohort that a study declares in `cohorts.own`, as an object like all others."""

from typing import ClassVar, Literal

from pydantic import Field, create_model, model_validator

from physiopipe.cohorts.base import ClipRule, Cohort, Modality, OwnFolder, Task
from physiopipe.params.own_cohorts import OwnCohort
from physiopipe.params.preparation import Filter, Quality, Recordings, Resample, Shard
from physiopipe.params.section import Section

_CUT_BACK = {"align": "end", "max_windows_per_record": None, "min_fill": 1.0}
_METHODS_RATE_HZ = 200


class OwnData(Recordings):
    """Where the recordings of a cohort of one's own lie."""

    declared: ClassVar[OwnCohort]
    cohort: ClassVar[str]

    origin: Literal["own"] = Field("own", description="own: EDF files in a folder, as `cohorts.own` declares them")
    path: str = Field("", description="the folder that holds the table of labels and the recordings")


class NoSimulation(Section):
    """Cohorts of one's own are not simulated."""


class OwnClips(ClipRule):
    """Which part of a recording is used, and from which value of each label on it is high."""

    tasks: ClassVar[tuple[str, ...]]

    high_from: dict[str, float] = Field({}, description="the least value of each label that is high; 1: labels 0 and 1")

    @model_validator(mode="after")
    def _of_each_task(self) -> "OwnClips":
        if set(self.high_from) != set(self.tasks):
            raise ValueError(f"expected a threshold for each of {list(self.tasks)}, found {sorted(self.high_from)}")
        return self

    def threshold(self, task: Task) -> float:
        return self.high_from[task.name]


def cohort_of(name: str, declared: OwnCohort) -> Cohort:
    """The cohort of a declaration. Its preparation is that of cohorts with known units: EEG in µV, ECG in mV."""
    data = create_model(f"OwnData_{name}", __base__=OwnData, __doc__=OwnData.__doc__)
    data.declared, data.cohort = declared, name
    quality = Quality(flat_peak_to_peak=1.0, amplitude_limit=100.0, wander_share=1.0)
    return Cohort(
        name=name,
        title=declared.title or name,
        modalities={
            "eeg": Modality(
                channels=declared.eeg,
                unit="uV",
                rate_hz=declared.eeg_rate_hz,
                filter=_filter(0.5, 45.0, declared.eeg_rate_hz, declared.mains_hz),
                resample=Resample(rates_hz=(_METHODS_RATE_HZ,)),
                shard=Shard.model_validate(_CUT_BACK | {"quality": quality}),
            ),
            "ecg": Modality(
                channels=declared.ecg,
                unit="mV",
                rate_hz=declared.ecg_rate_hz,
                filter=_filter(0.5, 40.0, declared.ecg_rate_hz, declared.mains_hz),
                resample=Resample(rates_hz=(_METHODS_RATE_HZ,)),
                shard=Shard.model_validate(_CUT_BACK),
            ),
        },
        tasks=tuple(Task(task, what=f"column {task} of {declared.labels}") for task in declared.tasks),
        publication=OwnFolder(
            folder=f"own-{name}",
            plan="physiopipe.cohorts.own_tree:plan_batches",
            read="physiopipe.cohorts.own_tree:read_recording",
            listing="physiopipe.cohorts.own_tree:listed_files",
            files_of="physiopipe.cohorts.own_tree:files_of",
        ),
        data=data,
        simulate=NoSimulation,
        simulator="",
        clips=_clips(name, declared.tasks),
        headline="auc",
        licence=declared.licence,
        access="own",
        citation=declared.citation,
        caveats=("A cohort of the study's own: its labels and units are as its files say.",),
        reading=("declared",),
    )


def _clips(name: str, tasks: tuple[str, ...]) -> type[ClipRule]:
    """The clip rule's class, whose thresholds are those of these tasks."""
    of_tasks = create_model("OwnClips", __base__=OwnClips)
    of_tasks.tasks = tasks
    thresholds = Field(dict.fromkeys(tasks, 1.0), description=OwnClips.model_fields["high_from"].description)
    return create_model(
        f"OwnClips_{name}", __base__=of_tasks, __doc__=OwnClips.__doc__, high_from=(dict[str, float], thresholds)
    )


def _filter(highpass_hz: float, lowpass_hz: float, rate_hz: float, mains_hz: float) -> Filter:
    """The usual corners; the upper one lower where the rate is."""
    return Filter(
        highpass_hz=highpass_hz, lowpass_hz=min(lowpass_hz, round(0.4 * rate_hz, 1)), notch_hz={"default": mains_hz}
    )
