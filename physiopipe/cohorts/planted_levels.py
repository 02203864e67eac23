"""Levels that simulated cohorts draw before any signal: what moves them, and what of them is each clip's truth.

A level is in units of its SD over clips: z = effect · (high − share of high) + (person) + (clip). A task's effects are
planted in the quantities that band power, mean heart rate and wave amplitudes show (QUANTITIES), and a share of them in
HIDDEN, which these do not show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physiopipe.cohorts.planted_signals import HIDDEN, LEVELS, QUANTITIES
from physiopipe.files import atomic_file

F64 = npt.NDArray[np.float64]
MovedBy = Mapping[str, tuple[int, float]]  # of LEVELS: the task (its index) that moves it, and which way


@dataclass(frozen=True)
class Latents:
    """What was drawn of each of n clips: what an oracle knows and no method can read.

    Attributes:
        tasks: names.
        subject, clip: (n,) as predictions name them.
        value: (n, task) what a task's threshold is compared with.
        moved: (n, task) whether the levels are those of a high clip.
        level: (n, task) the best single number of a clip's levels, the person's own part known: a weighted sum whose SD
            over clips is 1.
        effect: (task,) how far `level` of moved clips lies above that of the others.
        hidden_share: of the effect's square.
    """

    tasks: tuple[str, ...]
    subject: tuple[str, ...]
    clip: tuple[int, ...]
    value: F64
    moved: npt.NDArray[np.bool_]
    level: F64
    effect: F64
    hidden_share: float

    def write(self, path: Path) -> None:
        """Write a csv: subject, clip, and of each task its value, whether it moved the levels, and the level."""
        heads = [f"{task}_{what}" for task in self.tasks for what in ("value", "moved", "level")]
        lines = [",".join(["subject", "clip", *heads])]
        for row, (subject, clip) in enumerate(zip(self.subject, self.clip, strict=True)):
            cells = zip(self.value[row].tolist(), self.moved[row].tolist(), self.level[row].tolist(), strict=True)
            lines.append(",".join([subject, str(clip), *(f"{v:g},{int(m)},{z:.6f}" for v, m, z in cells)]))
        with atomic_file(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def weights(moved_by: MovedBy, tasks: int, hidden_share: float) -> F64:
    """Best weights of LEVELS for each task, (task, level), of length 1.

    A task's shown quantities hold 1 − `hidden_share` of its squared effect in equal parts, its hidden ones the rest.
    """
    found = np.zeros((tasks, len(LEVELS)))
    for level, (task, sign) in moved_by.items():
        kind = HIDDEN if level in HIDDEN else QUANTITIES
        share = hidden_share if level in HIDDEN else 1 - hidden_share
        count = sum(other == task and name in kind for name, (other, _) in moved_by.items())
        found[task, LEVELS.index(level)] = sign * sqrt(share / count)
    return found


def shifts(moved_by: MovedBy, centred: F64, effect_d: float, hidden_share: float) -> F64:
    """What the tasks add to the levels, (person, clip, level).

    With nothing hidden each shown quantity moves by `effect_d`. What is hidden is taken from all of them and given to
    the task's hidden ones, so that the best classifier of all its quantities is worth the same.

    Args:
        centred: (person, clip, task) 1 where high, else 0, less its mean.
    """
    found = np.zeros((*centred.shape[:2], len(LEVELS)))
    for level, (task, sign) in moved_by.items():
        count = {
            kind: sum(other == task and name in kind for name, (other, _) in moved_by.items())
            for kind in (QUANTITIES, HIDDEN)
        }
        size = sqrt(1 - hidden_share)
        if level in HIDDEN:
            size = sqrt(hidden_share * count[QUANTITIES] / count[HIDDEN])
        found[..., LEVELS.index(level)] = effect_d * size * sign * centred[..., task]
    return found


def draw_levels(rng: np.random.Generator, seed: int, shift: F64, rho: float, hidden_share: float) -> tuple[F64, F64]:
    """Levels (person, clip, level), and the person's own part of them, (person, level).

    The hidden ones have a stream of their own, so that the shown ones' noise does not depend on them; they are 0 where
    nothing is hidden.
    """
    subject_z, own = np.zeros((len(shift), len(LEVELS))), np.zeros(shift.shape)
    streams = [(rng, slice(0, len(QUANTITIES)))]
    if hidden_share > 0:
        streams.append((np.random.default_rng([seed, 3]), slice(len(QUANTITIES), None)))
    for stream, part in streams:
        subject_z[:, part] = rho * stream.standard_normal(subject_z[:, part].shape)
        own[:, :, part] = stream.standard_normal(own[:, :, part].shape)
    return shift + subject_z[:, None] + own, subject_z


def task_levels(moved_by: MovedBy, z: F64, subject_z: F64, tasks: int, hidden_share: float) -> F64:
    """`Latents.level` of each clip and task, (person, clip, task)."""
    return np.asarray((z - subject_z[:, None]) @ weights(moved_by, tasks, hidden_share).T)


def task_effects(moved_by: MovedBy, tasks: int, effect_d: float) -> F64:
    """`Latents.effect` of each task: `effect_d` times the root of how many quantities show it."""
    shown = [sum(task == of and name in QUANTITIES for name, (of, _) in moved_by.items()) for task in range(tasks)]
    return effect_d * np.sqrt(np.asarray(shown, dtype=np.float64))
