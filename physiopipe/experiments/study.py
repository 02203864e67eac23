"""What is cross-validated: a method, its parameters, a cohort's windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from physiopipe.clips.clip_data import MODALITIES
from physiopipe.clips.selection import ClipChoice, choose_clips
from physiopipe.cohorts.registry import cohort
from physiopipe.experiments.subject_splits import Fold, subject_split
from physiopipe.methods.registry import method_class
from physiopipe.params import Params
from physiopipe.windows.store import WindowStore

if TYPE_CHECKING:
    from physiopipe.cohorts.base import ClipRule


@dataclass(frozen=True)
class Study:
    """What is cross-validated, on what, and where it is kept.

    Attributes:
        method: its name in `physiopipe.methods.registry`.
        cohort: its name in `physiopipe.cohorts.registry`.
        windows_root: holds the cohort's windows, `<root>/<cohort>`.
        encoder_path: the pretrained ECG encoder; methods without one ignore it.
        state_folder: what later runs reuse: embeddings and features by content, and what is kept of each seed and fold
            (`finetune/`, see `KeptFolds`): what one study has fitted another does not fit again.
        no_row: why this variant of a method says nothing on this cohort; empty where it does.
    """

    method: str
    params: Params
    cohort: str
    windows_root: Path
    encoder_path: Path | None
    state_folder: Path
    no_row: str = ""

    @property
    def without_meaning(self) -> str:
        """Why the method says nothing on this cohort; empty where it does: the cohort's word on it, or that it reads
        what the cohort does not have and says nothing without.
        """
        known, method = cohort(self.cohort), method_class(self.method)
        needed = [each for each in method.inputs if each not in method.can_do_without]
        lacking = " and ".join(each.upper() for each in needed if each not in known.modalities)
        return self.no_row or known.without_meaning.get(
            self.method, f"it reads {lacking}, of which this cohort has none" if lacking else ""
        )

    @property
    def high_from(self) -> dict[str, float]:
        """Tasks of the cohort in order, and the least value of each that is high."""
        rule = self.params.clips[self.cohort]
        return {task.name: rule.threshold(task) for task in cohort(self.cohort).tasks}

    @property
    def rule(self) -> "ClipRule":
        """Which part of a clip is used, and what is done to it."""
        rule: ClipRule = self.params.clips[self.cohort]
        return rule

    def split(self, subjects: Sequence[str], seed: int) -> list[Fold]:
        """Folds of a seed by the protocol."""
        sizes = cohort(self.cohort).published_split
        return subject_split(subjects, self.params.evaluate.protocol, seed, sizes)

    def choose(self, store: WindowStore) -> ClipChoice:
        """What of the cohort's windows makes up its clips."""
        known = cohort(self.cohort)
        modalities = tuple(each for each in MODALITIES if each in known.modalities)
        return choose_clips(
            store,
            self.rule.last_s,
            self.high_from,
            modalities,
            each_window=known.scored_by == "window",
            with_baseline=self.rule.baseline != "none",
        )
