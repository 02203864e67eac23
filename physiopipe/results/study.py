"""What tables and figures of one downstream cohort depend on besides its files: the one place that reads parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from physiopipe.cohorts.planted_levels import Latents
from physiopipe.cohorts.registry import cohort as registered
from physiopipe.cohorts.reported import Reported
from physiopipe.params import Evaluate, Params
from physiopipe.results.metrics import Headline

REFERENCE = "ours"  # the method that the others are compared with


@dataclass(frozen=True)
class Study:
    """One downstream cohort and what is asked of it.

    Attributes:
        cohort: its name;  title: as tables call it;  simulated: whether nobody was recorded.
        tasks: names, in order;  thresholds: the least value of each that is high.
        headline: the metric that leads;  caveats: sentences that stand beside every number.
        settings: protocol, seeds and statistics.
        methods, ablations, robustness: names of the rows asked for, in order.
        latents: what a simulation drew of each clip, for the oracle's row; None on real recordings.
        reported: rows that a paper printed on this cohort, or None;  footnotes: sentences that go with them.
    """

    cohort: str
    title: str
    simulated: bool
    tasks: tuple[str, ...]
    thresholds: Mapping[str, float]
    settings: Evaluate
    methods: tuple[str, ...]
    ablations: tuple[str, ...] = ()
    robustness: tuple[str, ...] = ()
    headline: Headline = "subject_auc"
    caveats: tuple[str, ...] = ()
    latents: Latents | None = None
    reported: Reported | None = None
    footnotes: tuple[str, ...] = field(default=())

    @property
    def where(self) -> str:
        """The cohort within a sentence."""
        return f"a SIMULATED {self.title} (planted effects, no recorded person)" if self.simulated else self.title

    @property
    def measured(self) -> str:
        """The cohort in a heading."""
        return f"simulated {self.title}" if self.simulated else self.title


def study_of(params: Params, cohort: str) -> Study:
    """The study of a downstream cohort, as the parameters have it."""
    known = registered(cohort)
    rule, simulated = params.clips[cohort], params.simulated(cohort)
    reported = known.printed_rows()
    return Study(
        cohort=cohort,
        title=known.title,
        simulated=simulated,
        tasks=known.task_names,
        thresholds={task.name: rule.threshold(task) for task in known.tasks},
        settings=params.evaluate,
        methods=params.methods,
        ablations=params.ablations.variants,
        robustness=params.robustness.methods,
        headline=known.headline,
        caveats=known.caveats,
        latents=known.latents_of(params.simulate[cohort]) if simulated else None,
        reported=reported,
        footnotes=reported.footnotes(rule) if reported else (),
    )
