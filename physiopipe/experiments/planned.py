"""Whether every planned comparison can be made: one that drops out would leave Holm's correction too lenient."""

from collections.abc import Iterator

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.ablation import Ablation
from physiopipe.experiments.ablations import ABLATION_OF, known_ablation
from physiopipe.params import Params

_OURS = "ours"


def check_planned(params: Params) -> None:
    """Refuse planned rows that the table of ablations would compare with none.

    Raises:
        PhysiopipeError: listing every such row, or no ablation has that name.
    """
    if faults := list(_faults(params)):
        raise PhysiopipeError("ablations.planned cannot be kept:\n" + "\n".join(f"  {fault}" for fault in faults))


def _faults(params: Params) -> Iterator[str]:
    rows = {*params.ablations.variants, *({_OURS} & set(params.methods))}
    for name in params.ablations.planned:
        row = ABLATION_OF[known_ablation(name)]
        if not row.versus:
            yield f"{name} is compared with no row: expected one that is, take {name} out of ablations.planned"
        elif row.versus not in rows:
            key = "methods" if row.versus == _OURS else "ablations.variants"
            yield (
                f"{name} is compared with {row.versus}, which is not run: expected {row.versus} in {key}, add it, or "
                f"take {name} out of ablations.planned"
            )
        elif other := [each for each in params.cohorts.downstream if not _same_labels(row, params, each)]:
            yield (
                f"{name} has other labels than {row.versus} on {', '.join(other)}, and such rows are not compared: "
                f"expected one with the same labels, take {name} out of ablations.planned"
            )


def _same_labels(row: Ablation, params: Params, cohort: str) -> bool:
    """Whether a row and the one it is compared with call the same ratings high."""
    own = getattr(params.clips[cohort], "high_from", None)
    versus = ABLATION_OF[row.versus].clips if row.versus in ABLATION_OF else {}
    return own is None or bool(row.clips.get("high_from", own) == versus.get("high_from", own))
