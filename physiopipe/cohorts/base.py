"""What a cohort is: one object that holds all that is known of it before a file is read.

A cohort is one file that ends in one `COHORT = Cohort(...)`, and one line in `physiopipe.cohorts.registry`. Readers,
simulators and oracles are named by import strings (`module:function`), so that a job loads only what it needs.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from physiopipe.params.clips import Artefacts, BaselineUse, EcgLeads
from physiopipe.params.preparation import Filter, Resample, Shard
from physiopipe.params.section import Positive, Section

if TYPE_CHECKING:
    from physiopipe.cohorts.planted_levels import Latents
    from physiopipe.cohorts.reported import Reported
    from physiopipe.recordings.recording import Recording, Rejected, Unit


@dataclass(frozen=True)
class Modality:
    """One kind of signal of a cohort, as it is stored.

    Attributes:
        channels: names of the rows of a recording's signal, in order.
        unit: mV, uV, or unspecified.
        rate_hz: of the recordings, Hz; None where sources differ.
        filter, resample, shard: default parameters of its preparation.
        montage: name of the electrode positions in MNE-Python, or empty.
    """

    channels: tuple[str, ...]
    unit: "Unit"
    rate_hz: float | None
    filter: Filter
    resample: Resample
    shard: Shard
    montage: str = ""


@dataclass(frozen=True)
class Task:
    """A downstream task of two classes: high from a threshold of a value on.

    Attributes:
        name: as tables call it; a column of the windows' index holds the value under this name.
        high_from: the least value that is high; None: the clip rule's parameter `high_from`.
        what: what the value is, in a few words.
    """

    name: str
    high_from: float | None = None
    what: str = ""


class ClipRule(Section):
    """Which part of a recording makes a clip, and from which value on it is high."""

    last_s: Positive | None = Field(60.0, description="part of a clip that is used: its last seconds; null: all of it")
    baseline: BaselineUse = Field(
        "none",
        description="subtract_features: features and embeddings less their mean at rest before the clip; "
        "zscore_by_person: on the scale (mean, SD) of all of the person's recordings of rest",
    )
    artefacts: Artefacts = Artefacts()
    ecg_leads: EcgLeads = Field(
        "recorded",
        description="limb: I, II, III, aVR, aVL and aVF from two of I, II and III, in the rows that pretraining has "
        "them in; recorded: the leads as they are",
    )

    def threshold(self, task: Task) -> float:
        """The least value of a task that is high."""
        value = task.high_from if task.high_from is not None else getattr(self, "high_from", None)
        if value is None:
            raise ValueError(f"task {task.name} names no threshold, and the clip rule has no high_from")
        return float(value)


@dataclass(frozen=True)
class PublishedTree:
    """Published as a tree of files with lists: RECORDS and SHA256SUMS.txt; downloaded batch by batch.

    Attributes:
        folder: where the files are kept below data/raw, in the published layout.
        plan: `(tree, data section) → batches`.
        read: `(path of a record's first file, source, modality, data section) → Recording`, or an iterator of
            `Recording | Rejected` where a file holds several clips; raises RejectedRecord.
        last_file: the file of a simulated tree that is written last.
    """

    folder: str
    plan: str
    read: str
    last_file: str = "SHA256SUMS.txt"


@dataclass(frozen=True, kw_only=True)
class PublishedList(PublishedTree):
    """Published as a tree of files whose publisher gives no list of checksums: this package brings one.

    Attributes:
        files: a csv of path, bytes and MD5 beside the cohort's module; a simulated tree has its own, `last_file`.
    """

    files: str
    last_file: str = "files.csv"

    @property
    def list_path(self) -> Path:
        """The list in this package."""
        return Path(__file__).with_name(self.files)


@dataclass(frozen=True, kw_only=True)
class OwnFolder(PublishedTree):
    """Not published: a folder on this machine, without lists, that a study declares as its own.

    Attributes:
        listing: `(folder, data section) → paths below it` of all that is read; they make up the state of the source.
        files_of: `(folder, path of a record's first file below it, data section) → paths below it` of all files that
            the record is read from; none of a file that is read with another one.
    """

    listing: str
    files_of: str


@dataclass(frozen=True)
class OneFile:
    """Published as one file, which is unpacked once, into one file of recordings a modality.

    Attributes:
        file_name: as published.
        read: `(path, data section, simulated) → Recording or Rejected, one after the other`; a record's name ends in
            `_<modality>`.
        access: how to get the file, said where it is missing.
    """

    file_name: str
    read: str
    access: str


@dataclass(frozen=True)
class Cohort:
    """A cohort of recordings.

    Attributes:
        name: in parameters, folders and file names.
        title: as tables and figures call it.
        modalities: what it records, by name, in the order in which they are prepared.
        tasks: of a downstream cohort, one to three; none for a cohort that is for pretraining alone.
        publication: how it is published.
        data, simulate, clips: the classes of its sections of params.yaml.
        simulator: `(last file, section) → None`, an import string.
        latents: `(simulate section) → planted_levels.Latents`, what the simulation draws of each clip before any
            signal, kept apart from the recordings: what an oracle knows. An import string; empty: nothing is planted.
        without_meaning: baselines that say nothing on this cohort, with the reason.
        headline: the metric that its tables lead with.
        scored_by: what is labelled, predicted and counted: a clip, with all of its windows, or each window by itself;
            windows of a recording are alike, so statistics go by recording and person there too.
        published_split: people that train, validate and test by the protocol `published`, in the order of their files;
            None where nobody published a split.
        subjects, licence, access, citation: of the data; `subjects` None where they are not published.
        caveats: sentences that stand beside every number of this cohort.
        source_rates_hz: `(data section) → {source: Hz}` where sources differ in rate.
        longest_clip: `(data, simulate) → s`, the length of the longest recording.
        baseline: `data section → whether it asks for the baselines`, recordings of rest before each clip; None where
            nobody recorded any.
        reading: keys of `data` that change what is read of a recording, besides those that say where it lies.
        data_notes: sentences on units and origin for the report, from its data section.
        reported: rows that a paper printed on this cohort, an import string of a `cohorts.reported.Reported`, or empty.
    """

    name: str
    title: str
    modalities: Mapping[str, Modality]
    publication: PublishedTree | OneFile
    data: type[Section]
    simulate: type[Section]
    simulator: str
    licence: str
    access: str
    citation: str
    tasks: tuple[Task, ...] = ()
    clips: type[ClipRule] = ClipRule
    latents: str = ""
    without_meaning: Mapping[str, str] = field(default_factory=dict)
    headline: Literal["subject_auc", "auc"] = "subject_auc"
    scored_by: Literal["clip", "window"] = "clip"
    published_split: tuple[int, int, int] | None = None
    subjects: int | None = None
    caveats: tuple[str, ...] = ()
    source_rates_hz: Callable[[Any], Mapping[str, float]] | None = None
    longest_clip: Callable[[Any, Any], float] | None = None
    baseline: Callable[[Any], bool] | None = None
    reading: tuple[str, ...] = ()
    data_notes: Callable[[Any], tuple[str, ...]] = lambda _: ()
    reported: str = ""

    def __post_init__(self) -> None:
        if self.scored_by == "window" and self.headline != "auc":
            raise ValueError(f"cohort {self.name}: windows are scored by the AUC of all of them, `auc`")

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    def rates_hz(self, modality: str, data: Section) -> Mapping[str, float]:
        """Sampling rate of the recordings of each source, Hz, as far as it is known beforehand."""
        rate_hz = self.modalities[modality].rate_hz
        if rate_hz is not None:
            return {self.name: rate_hz}
        return self.source_rates_hz(data) if self.source_rates_hz else {}

    def longest_clip_s(self, data: Section, simulate: Section) -> float:
        """Length of the longest recording, s."""
        return self.longest_clip(data, simulate) if self.longest_clip else math.inf

    @property
    def simulated_file(self) -> str:
        """Name of the file of a simulated cohort that is written last."""
        how = self.publication
        return how.last_file if isinstance(how, PublishedTree) else how.file_name

    def simulate_to(self, last: Path, section: Section) -> None:
        """Write the simulated cohort; `last` is its file that appears last.

        What was drawn of each clip lies beside its folder (`latents_file`), where no reader of recordings looks.
        """
        if found := self.latents_of(section):
            found.write(latents_file(last))
        imported(self.simulator)(last, section)

    def latents_of(self, section: Section) -> "Latents | None":
        """What the simulation of this section draws of each clip; None where nothing is planted."""
        found: Latents | None = imported(self.latents)(section) if self.latents else None
        return found

    def printed_rows(self) -> "Reported | None":
        """Rows that a paper printed on this cohort."""
        if not self.reported:
            return None
        module, _, attribute = self.reported.partition(":")
        found: Reported = getattr(import_module(module), attribute)
        return found

    def read_file(self, path: Path, data: Section, simulated: bool) -> "Iterator[Recording | Rejected]":
        """Recordings of a cohort that is published as one file."""
        assert isinstance(self.publication, OneFile)
        found: Iterator[Recording | Rejected] = imported(self.publication.read)(path, data, simulated)
        return found


def latents_file(last: Path) -> Path:
    """Where the levels that a simulated cohort was made from are kept; `last` is its file that appears last."""
    return last.parent.with_name(f"{last.parent.name}.latents.csv")


def imported(name: str) -> Callable[..., Any]:
    """The function behind an import string `module:function`."""
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found
