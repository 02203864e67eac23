"""The cohorts that there are: a name and where its object is.

To add one, write `physiopipe/cohorts/<name>.py` with `COHORT = Cohort(...)` and add a line here.
"""

from functools import cache
from typing import TYPE_CHECKING

from physiopipe.errors import PhysiopipeError, unknown

if TYPE_CHECKING:
    from physiopipe.cohorts.base import Cohort

COHORTS: dict[str, str] = {
    "bcmi": "physiopipe.cohorts.bcmi:COHORT",
    "challenge": "physiopipe.cohorts.challenge:COHORT",
    "dreamer": "physiopipe.cohorts.dreamer:COHORT",
    "eegmat": "physiopipe.cohorts.eegmat:COHORT",
    "eegmat_published": "physiopipe.cohorts.eegmat_published:COHORT",
}


@cache
def cohort(name: str) -> "Cohort":
    """The cohort of a name.

    Raises:
        PhysiopipeError: there is none, with the closest name that there is.
    """
    from physiopipe.cohorts.base import Cohort, imported

    if name not in COHORTS:
        raise PhysiopipeError(unknown("cohort", name, COHORTS))
    found = imported(COHORTS[name])
    assert isinstance(found, Cohort)
    return found
