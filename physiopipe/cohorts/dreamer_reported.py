"""Table 1 of the paper as printed on DREAMER (dreamer_reported.csv), the doubts about it, and a trivial row's score."""

from pathlib import Path

from physiopipe.cohorts.base import ClipRule, Task
from physiopipe.cohorts.reported import Reported, read_reported

_NOTES = {
    "copied": "Seems copied from the table of Brant-X (arXiv:2409.00122), whose protocol text, code and weights are "
    "not public: this row's split need not be that of Ours.",
    "swapped": "Valence F1 and AUC (72.22, 80.83) look swapped in print; shown as printed.",
    "same_auc": "MiniRocket and Ours print the same dominance AUC (86.69).",
    "pooled": "Accuracy and F1 fit whole counts of 108 clips pooled (6 test subjects, one prediction a clip): valence "
    "75 right (TP 71, TN 4), arousal 81 (TP 72, TN 9), dominance 86 (TP 83, TN 3); the paper says mean across "
    "subjects.",
}


ELSEWHERE = (
    "Elsewhere on DREAMER: EEGain (Li et al. 2025, arXiv:2505.18175) leaves one subject out and reads the EEG alone; "
    "its networks reach an arousal accuracy of .46 to .48 where always saying the more frequent class gives .52. "
    "Another protocol than any row here: cited, not compared."
)


def always_high(rule: ClipRule) -> tuple[str, ...]:
    """What the row "high for every clip" scores on the real cohort at the rule's threshold, and what follows."""
    from physiopipe.cohorts.dreamer_simulation import REAL_COUNTS  # scipy, which no other use of this module needs

    words = []
    for name, counts in REAL_COUNTS.items():
        threshold = rule.threshold(Task(name))
        high = sum(count for rating, count in enumerate(counts, 1) if rating >= threshold)
        share = high / sum(counts)
        words.append(f"{100 * share:.1f} / {200 * share / (1 + share):.1f} ({name})")
    return (
        f"Saying high for every clip of DREAMER scores accuracy / F1 {', '.join(words[:-1])} and {words[-1]} with an "
        f"AUC of 50 where high is a rating of {threshold:g} or more (from how often each rating was given in "
        f"DREAMER.mat, {sum(counts)} of each task): AUC, balanced accuracy and macro-F1 tell methods apart, accuracy "
        "and F1 hardly do.",
    )


def footnotes(rule: ClipRule) -> tuple[str, ...]:
    """Sentences under Table 1 on DREAMER."""
    return (*always_high(rule), ELSEWHERE)


REPORTED = Reported(
    title="Reported in the paper (DREAMER)",
    rows=read_reported(Path(__file__).with_suffix(".csv"), _NOTES),
    footnotes=footnotes,
)
