"""The oracle of a simulated cohort: the best that the true levels of these very clips allow, as predictions.

It is no method: it is made here, from what the simulation drew (`Study.latents`), so it has no `fit`, never meets the
null tests of the methods, and exists only where a cohort declares its latents and is simulated.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from physiopipe.cohorts.planted_levels import F64, Latents
from physiopipe.errors import PhysiopipeError
from physiopipe.results.intervals import Estimates, SeedPredictions, estimate
from physiopipe.results.study import Study
from physiopipe.results.test_set import TestSet

ORACLE = "oracle"
TITLE = "Oracle (true levels)"
_ENOUGH = 10.0  # clips
_MOST_DIFFERENT = 0.02  # of the labels: a report that is read from a signal may fall on the threshold's other side


def oracle_estimates(test: TestSet, study: Study) -> Estimates | None:
    """What the oracle reaches on the clips of this test set; None where nothing was planted, or nothing was tested."""
    if study.latents is None or not test.methods:
        return None
    seeds = oracle_predictions(test, study.latents, study.thresholds)
    return estimate(
        seeds,
        study.resamples(len(test.subjects)),
        study.settings.confidence,
        study.tasks,
        study.headline,
        study.metrics,
        study.interval,
    )


def oracle_predictions(
    test: TestSet, latents: Latents, thresholds: Mapping[str, float]
) -> list[SeedPredictions]:  # fmt: skip
    """The oracle's probabilities of the clips of each seed. Its tuned threshold is the share of high clips.

    Raises:
        PhysiopipeError: clips or labels are not those of the simulation that the parameters describe.
    """
    high = latents.value >= np.array([thresholds[task] for task in latents.tasks])
    probability = posterior(latents, high)
    place = {name: number for number, name in enumerate(zip(latents.subject, latents.clip, strict=True))}
    found = []
    for seed in next(iter(test.methods.values())):
        names = [test.clip_names[row] for row in seed.row]
        if unknown := [name for name in names if name not in place]:
            raise PhysiopipeError(
                f"Clip {unknown[0][1]} of {unknown[0][0]} was tested; the simulation that params.yaml describes has no "
                "such clip. Run `dvc repro` again, so that predictions and parameters agree."
            )
        at = np.array([place[name] for name in names], dtype=np.int64)
        if (different := float((high[at] != seed.truth).mean())) > _MOST_DIFFERENT:
            raise PhysiopipeError(
                f"{different:.0%} of the tested labels are not those of the simulation that params.yaml describes: the "
                "windows were made from another one. Remove data/simulated and run `dvc repro` again."
            )
        prior = np.broadcast_to(high.mean(axis=0), seed.truth.shape)
        found.append(replace(seed, probability=probability[at], threshold=prior))
    return found


def posterior(latents: Latents, high: npt.NDArray[np.bool_]) -> F64:
    """P(high) of each clip and task, (n, task), given its levels, by Bayes' rule.

    The levels of a clip are normal, of SD 1, about `effect · (moved − share moved)`, and independent given which tasks
    moved them. How often each combination of these occurs is counted in the cohort, and so is how often a clip of each
    is high: where the threshold is another one than that of planting, high or low clips are a mixture. A rare
    combination's count is filled up to _ENOUGH by all clips whose task moved alike.

    Args:
        high: (n, task) whether each clip's value reaches the threshold that is asked for.
    """
    kinds, kind_of, counts = np.unique(latents.moved, axis=0, return_inverse=True, return_counts=True)
    means = latents.effect * (kinds - latents.moved.mean(axis=0))
    log_weight = np.log(counts) - 0.5 * np.square(latents.level[:, None] - means).sum(axis=-1)
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    own = np.stack([high[kind_of.ravel() == number].sum(axis=0) for number in range(len(kinds))])
    alike = np.stack(
        [(high & side).sum(axis=0) / np.maximum(side.sum(axis=0), 1) for side in (~latents.moved, latents.moved)]
    )
    share = (own + _ENOUGH * np.where(kinds, alike[1], alike[0])) / (counts[:, None] + _ENOUGH)
    return np.asarray(weight @ share, dtype=np.float64)


def note(latents: Latents) -> str:
    """What the row is, and what a simulated cohort can and cannot tell."""
    hidden = (
        f"{latents.hidden_share:.0%} of the effect (squared) is" if latents.hidden_share else "None of the effect is"
    )
    return (
        "No method, and on no real cohort. From the levels that the simulation drew for these very clips, each "
        "person's own part taken off, it gives the chance of high by Bayes' rule. No row can read these levels, so "
        "none is above it but by luck, or by other people's labels of the same clip, which the clip prior has. "
        f"{hidden} planted where band power, mean heart rate and wave amplitudes do not show it: which side of the "
        "head alpha reaches first, at which phase of the breath alpha rises, a change from the first to the second "
        "half of a clip. Such a cohort tells whether a row finds what was planted, and how much of it; it cannot tell "
        "how rows rank on people."
    )
