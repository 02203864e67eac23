"""Options that verbs share."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physiopipe.errors import PhysiopipeError

if TYPE_CHECKING:
    from physiopipe.cohorts.base import Cohort
    from physiopipe.params import Params

DEFAULT = Path("params.yaml")
FOR_YOU, FOR_THE_WORKFLOW = "For you", "For the workflow"


def _enter_study(path: Path) -> Path:
    """Go to the study's folder where the command was typed in one below it, as git does."""
    if path == DEFAULT and not path.exists():
        for folder in Path.cwd().parents:
            if (folder / path).is_file() and (folder / "dvc.yaml").is_file():
                print(f"in {folder}", file=sys.stderr)
                os.chdir(folder)
                break
    return path


ParamsFile = Annotated[Path, typer.Option("--params", help="The parameter file.", callback=_enter_study)]
CohortName = Annotated[str, typer.Option("--cohort", help="A cohort of the study, see `cohorts` in params.yaml.")]
ModalityName = Annotated[str, typer.Option("--modality", help="ecg or eeg.")]
BatchName = Annotated[str, typer.Option("--batch", help="A batch of data/plan/<cohort>/batches.csv.")]


def load(path: Path, with_methods: bool = False) -> "Params":
    """The parameters of a file; the methods' sections are checked where the verb needs them."""
    from physiopipe.params import load_params

    return load_params(path, with_methods)


def chosen_cohort(name: str, params: "Params") -> "Cohort":
    """A cohort of the study.

    Raises:
        PhysiopipeError: there is no such cohort, or the study does not use it.
    """
    from physiopipe.cohorts.registry import cohort

    known = cohort(name)
    if name not in params.cohorts.in_use:
        raise PhysiopipeError(
            f"the study does not use the cohort {name!r}: `cohorts` in params.yaml names "
            f"{', '.join(params.cohorts.in_use)}."
        )
    return known


def chosen_modality(name: str, modality: str, params: "Params") -> "Cohort":
    """A cohort of the study that records a modality.

    Raises:
        PhysiopipeError: as `chosen_cohort`, or the cohort does not record it.
    """
    known = chosen_cohort(name, params)
    if modality not in known.modalities:
        raise PhysiopipeError(f"the cohort {name!r} has no {modality!r}; it has: {', '.join(known.modalities)}.")
    return known


def chosen_downstream(name: str, params: "Params") -> "Cohort":
    """A downstream cohort of the study: one with labels.

    Raises:
        PhysiopipeError: as `chosen_cohort`, or it is not among `cohorts.downstream`.
    """
    known = chosen_cohort(name, params)
    if name not in params.cohorts.downstream:
        raise PhysiopipeError(
            f"{name!r} is for pretraining here: `cohorts.downstream` names {', '.join(params.cohorts.downstream)}."
        )
    return known
