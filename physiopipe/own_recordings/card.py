"""The README.md beside a fitted model: what it is, how good it is on people it has not met, what it was fitted on."""

from collections.abc import Sequence
from typing import Any

from physiopipe.cohorts.base import Cohort

SIMULATED = "SIMULATED data: no recorded person. Use it to try the path, and conclude nothing from what it says."
_METRICS = (
    ("auc", "AUC, all clips pooled"),
    ("subject_auc", "AUC within people"),
    ("balanced_accuracy", "Balanced accuracy at one half"),
    ("balanced_accuracy_tuned", "Balanced accuracy, threshold tuned"),
    ("f1", "F1 of the class high"),
)


def headline_of(about: dict[str, Any], task: str) -> str:
    """`AUC 81.7 % [75.7, 88.3]`: the study's headline metric of a task, with its interval where there is one."""
    found = about["cross_validated"]
    name = found["headline"]
    numbers = found["metrics"].get(task, {})
    if name not in numbers:
        return "AUC not defined"
    title = "AUC" if name == "auc" else "AUC within people"
    ends = [numbers.get(f"{name}_{end}") for end in ("low", "high")]
    interval = f" [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]" if None not in ends else ""
    return f"{title} {100 * numbers[name]:.1f} %{interval}"


def model_card(about: dict[str, Any], known: Cohort) -> str:
    """Markdown, with the front matter that the Hugging Face Hub reads."""
    simulated = [f"**{SIMULATED}**"] if about["simulated"] else []
    title = f"simulated {about['cohort_title']}" if about["simulated"] else about["cohort_title"]
    parts = [
        "---\nlibrary_name: physiopipe\ntags: [eeg, ecg]\n---",
        f"# {about['title']}, fitted on {title}",
        *simulated,
        f"{about['note']} {about['details']}".strip(),
        "## How good it is\n\n" + _numbers(about),
        "## What it was fitted on\n\n" + _table(("What", "Value"), _training(about, known)),
        "## Use\n\n" + _USE,
        "## Limits\n\n" + "\n".join(f"- {each}" for each in (*about["caveats"], *_LIMITS)),
    ]
    return "\n\n".join(parts) + "\n"


_USE = """```
physiopipe predict RECORDINGS --model THIS_FOLDER --out predictions.csv
```"""

_LIMITS = (
    "Not a medical device; a probability of a label of this cohort, for recordings like this cohort's.",
    "`predict` warns where channels, rates or amplitudes are unlike the training data; it sees no others.",
    "The folder holds numbers learnt from these recordings, with some methods features of single windows: pass it on "
    "only as the licence of the data allows.",
)


def _numbers(about: dict[str, Any]) -> str:
    found = about["cross_validated"]
    rows = []
    for task in about["tasks"]:
        numbers = found["metrics"].get(task, {})
        for name, title in _METRICS:
            if name in numbers:
                ends = [numbers.get(f"{name}_{end}") for end in ("low", "high")]
                interval = f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}" if None not in ends else ""
                rows.append((task, title, f"{100 * numbers[name]:.1f} %", interval))
    words = (
        f"Cross-validated on people that the fits had not met: protocol {found['protocol']}, {found['seeds']} seed(s), "
        f"{found['clips']} clips of {found['people']} people. These are numbers of single fits on a part of the "
        "people; this model is the mean of five fits on four fifths of them each, and has not been tested itself."
    )
    return f"{words}\n\n" + _table(("Task", "Metric", "Value", f"{found['confidence']:.0%} interval"), rows)


def _training(about: dict[str, Any], known: Cohort) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("Cohort", f"{about['cohort_title']}{' (simulated)' if about['simulated'] else ''}"),
        ("People, clips", f"{about['people']}, {about['clips']}"),
        ("A clip", f"the last {about['last_s']:g} s of a recording"),
    ]
    for task, what in about["tasks_are"].items():
        rows.append((f"High {task}", f"{what or 'value'}: from {about['high_from'][task]:g} on"))
        rows.append((f"Threshold, {task}", f"{about['thresholds'][task]:.4f}"))
    for modality, of in about["training"].items():
        rates = ", ".join(f"{rate:g} Hz" for rate in of["rates_hz"]) or "not stated"
        used = "" if modality in about["inputs"] else " (not read)"
        rows.append((f"{modality.upper()}{used}", f"{', '.join(of['channels'])}; {rates}"))
        if modality in about["inputs"]:
            rows.append(
                (f"{modality.upper()} amplitude", f"{of['amplitude_low']:g} to {of['amplitude_high']:g} {of['unit']}")
            )
    rows += [(f"{modality.upper()} encoder", words) for modality, words in about["encoders"].items()]
    rows += [
        ("Licence of the data", "none: nobody was recorded" if about["simulated"] else known.licence),
        ("Cite", known.citation),
        ("Code", f"physiopipe {about['physiopipe']}; {about['provenance']}; licence {about['licence']}"),
    ]
    return rows


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
