"""The cohorts that there are: a name and where its object is.

To add one, write `physiopipe/cohorts/<name>.py` with `COHORT = Cohort(...)` and add a line here; or let a package of
yours name its `Cohort` as an entry point (`physiopipe.cohorts`).
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from physiopipe.errors import PhysiopipeError, unknown
from physiopipe.plugins import Plugin, plugins

if TYPE_CHECKING:
    from physiopipe.cohorts.base import Cohort
    from physiopipe.params.own_cohorts import OwnCohort

COHORTS: dict[str, str] = {  # of this package
    "bcmi": "physiopipe.cohorts.bcmi:COHORT",
    "challenge": "physiopipe.cohorts.challenge:COHORT",
    "dreamer": "physiopipe.cohorts.dreamer:COHORT",
    "eegmat": "physiopipe.cohorts.eegmat:COHORT",
    "eegmat_published": "physiopipe.cohorts.eegmat_published:COHORT",
}


OWN = "physiopipe.cohorts.own:cohort_of"  # what makes a cohort of a declaration
_declared: dict[str, "OwnCohort"] = {}


def declare(own: Mapping[str, "OwnCohort"]) -> None:
    """Let these names be cohorts of the study whose parameters were read last.

    Raises:
        PhysiopipeError: a name is that of another cohort.
    """
    for name, declaration in own.items():
        if name in COHORTS or name in _of_others():
            raise PhysiopipeError(f"cohorts.own.{name}: there is a cohort of that name already: choose another name.")
        if _declared.get(name) != declaration:
            _declared[name] = declaration
            cohort.cache_clear()


def cohort_places() -> Mapping[str, str]:
    """Import strings of all cohorts by name, those of other packages last.

    Raises:
        PhysiopipeError: another package offers one under a name that is taken.
    """
    return COHORTS | {name: plugin.place for name, plugin in _of_others().items()}


def _of_others() -> Mapping[str, Plugin]:
    return plugins("cohort", COHORTS)


@cache
def cohort(name: str) -> "Cohort":
    """The cohort of a name.

    Raises:
        PhysiopipeError: there is none, with the closest name that there is; or what another package offers is none.
    """
    from physiopipe.cohorts.base import Cohort, imported

    if name in COHORTS:
        found: object = imported(COHORTS[name])
        assert isinstance(found, Cohort)
        return found
    if name in _declared:
        made = imported(OWN)(name, _declared[name])
        assert isinstance(made, Cohort)
        return made
    plugin = _of_others().get(name)
    if plugin is None:
        raise PhysiopipeError(unknown("cohort", name, cohort_places()))
    found = plugin.load()
    if not isinstance(found, Cohort):
        plugin.refuse("it is no physiopipe.cohorts.base.Cohort")
    if found.name != name:
        plugin.refuse(f"the object calls itself {found.name!r}: both must be the same")
    return found
