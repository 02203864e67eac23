"""`cohorts.own`: cohorts that a study declares itself, without any code."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from physiopipe.params.section import Positive, Section

CohortName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_Channels = Annotated[tuple[str, ...], Field(min_length=1)]
_TITLES = ("title", "licence", "citation")  # what is said of a cohort, and changes no byte of its windows


class OwnCohort(Section):
    """EDF recordings of EEG and ECG, and a table of labels; `data.<name>.path` says where they lie.

    The threshold of each label and the part of a recording that is used stand in `clips.<name>`.
    """

    layout: Literal["folder", "bids"] = Field(
        "folder", description="folder: EDF files that the table names; bids: sub-<label>/…_eeg.edf, named or found"
    )
    labels: str = Field(
        "labels.csv", description="table in the folder (.csv, .tsv): one row a file, or (bids) a person"
    )
    ecg_files: Literal["same", "ecg", "physio"] = Field(
        "same",
        description="where the ECG is: same: in the EEG's file; ecg, physio: beside …_eeg.edf, in …_ecg.edf or "
        "…_physio.tsv.gz; a column ecg_file of the table names each file by itself",
    )
    tasks: tuple[CohortName, ...] = Field(min_length=1, max_length=3, description="columns of that table: the labels")
    eeg: _Channels = Field(description="EEG channels; a file may call them so, or `EEG <name>`")
    ecg: _Channels = Field(description="ECG channels; a file may call them so, or `ECG <name>`")
    stored_as: dict[str, str] = Field({}, description="label in the files of channels that they call otherwise")
    eeg_rate_hz: Positive = Field(description="sampling rate of the EEG, Hz")
    ecg_rate_hz: Positive = Field(description="sampling rate of the ECG, Hz")
    mains_hz: Positive = Field(50.0, description="frequency of the mains where it was recorded, Hz")
    title: str = Field("", description="as tables call it; empty: its name")
    licence: str = Field("not stated", description="of the recordings")
    citation: str = Field("not stated", description="what to cite")

    @model_validator(mode="after")
    def _channels_once(self) -> "OwnCohort":
        named = (*self.eeg, *self.ecg)
        if len(set(named)) < len(named):
            raise ValueError(f"a channel is named twice in {list(named)}")
        if unknown := sorted(set(self.stored_as) - set(named)):
            raise ValueError(f"stored_as names {unknown[0]!r}, which is among neither eeg nor ecg")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"a task is named twice in {list(self.tasks)}")
        return self

    def of_windows(self) -> dict[str, object]:
        """What of it determines the stored windows."""
        by_table = {"ecg_files"} if self.ecg_files == "same" else set()  # windows of before there was the choice
        return self.model_dump(mode="json", exclude={*_TITLES, *by_table})
