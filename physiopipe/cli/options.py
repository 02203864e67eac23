"""Options that verbs share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from physiopipe.params import Params

ParamsFile = Annotated[Path, typer.Option("--params", help="the parameter file")]
CohortName = Annotated[str, typer.Option("--cohort", help="challenge or dreamer")]
ModalityName = Annotated[str, typer.Option("--modality", help="ecg or eeg")]
BatchName = Annotated[str, typer.Option("--batch", help="a batch of data/plan/<cohort>/batches.csv")]
DEFAULT = Path("params.yaml")


def load(path: Path) -> "Params":
    """The parameters of a file."""
    from physiopipe.params import load_params

    return load_params(path)
