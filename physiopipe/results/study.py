"""What tables and figures of one downstream cohort depend on besides its files: the one place that reads parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from physiopipe.cohorts.planted_levels import Latents
from physiopipe.cohorts.registry import cohort as registered
from physiopipe.cohorts.reported import Reported
from physiopipe.params import Evaluate, Params
from physiopipe.results.intervals import Interval, resample_subjects, without_each
from physiopipe.results.metrics import F64, HEADLINE_WORDS, METRICS, WINDOW_METRICS, Headline

REFERENCE = "ours"  # the method that the others are compared with


@dataclass(frozen=True)
class Study:
    """One downstream cohort and what is asked of it.

    Attributes:
        cohort: its name;  title: as tables call it;  simulated: whether nobody was recorded.
        tasks: names, in order;  thresholds: the least value of each that is high.
        scored_by: what is counted, a clip or each window by itself.
        headline: the metric that leads;  caveats: sentences that stand beside every number.
        settings: protocol, seeds and statistics.
        methods, ablations, robustness: names of the rows asked for, in order.
        planned: names of the ablations whose comparison was named beforehand.
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
    scored_by: Literal["clip", "window"] = "clip"
    planned: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is computed of every row."""
        return WINDOW_METRICS if self.scored_by == "window" else METRICS

    @property
    def headline_words(self) -> str:
        """The metric that leads, in words."""
        return HEADLINE_WORDS[self.headline].replace("clips", f"{self.scored_by}s")

    @property
    def interval(self) -> Interval:
        """How intervals are made: a split that others published has few test subjects, the same in every seed."""
        return "leave_one_out" if self.settings.protocol == "published" else "bootstrap"

    def resamples(self, subjects: int) -> F64:
        """Weights of the test subjects behind every interval, (resample, subject)."""
        if self.interval == "leave_one_out":
            return without_each(subjects)
        return resample_subjects(subjects, self.settings.bootstrap, self.settings.resampling_seed)

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
        planned=params.ablations.planned,
        robustness=params.robustness.methods,
        headline=known.headline,
        scored_by=known.scored_by,
        caveats=known.caveats,
        latents=known.latents_of(params.simulate[cohort]) if simulated else None,
        reported=reported,
        footnotes=reported.footnotes(rule) if reported else (),
    )
