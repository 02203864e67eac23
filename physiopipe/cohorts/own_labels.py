"""The table of a cohort of one's own: which file is whose, and what it is labelled.

Columns: `file` (or `eeg_file`, or BIDS's `filename`), the path below the folder; `ecg_file`, where the ECG is in a
file of its own; `subject` (or BIDS's `participant_id`), which a BIDS
path tells too; `clip`, a number from 1, where the order of the rows is not meant; one column a label. In a BIDS folder
a table without files holds one row a person, whose labels count for each of that person's recordings.
"""

import csv
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from physiopipe.errors import PhysiopipeError
from physiopipe.params.own_cohorts import OwnCohort
from physiopipe.recordings.physio import ENDING
from physiopipe.recordings.tree import record_of

_FILE, _SUBJECT = ("file", "eeg_file", "filename"), ("subject", "participant_id")
_ECG_FILE, _EEG_ENDING = "ecg_file", "_eeg.edf"
_ECG_ENDINGS = {"ecg": "_ecg.edf", "physio": ENDING}  # in place of `_eeg.edf`
_SUBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_OF_BIDS_PATH = re.compile(r"sub-([A-Za-z0-9]+)")
_NOT_KNOWN = ("", "n/a", "na", "nan")  # BIDS: n/a


@dataclass(frozen=True)
class Labelled:
    """A recording of the table: `ratings` by label; one that is not known is left out.

    Attributes:
        file, ecg_file: that of the EEG, and that of the ECG; the same one where both are in it.
    """

    file: str
    subject: str
    clip: int
    ratings: dict[str, float]
    ecg_file: str

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the recording, that of the EEG first."""
        if self.ecg_file == self.file:
            return (self.file,)
        of_physio = (self.ecg_file.removesuffix(".tsv.gz") + ".json",) if self.ecg_file.endswith(ENDING) else ()
        return (self.file, self.ecg_file, *of_physio)


def label_of(root: Path, file: str, declared: OwnCohort) -> Labelled | None:
    """What the table says of one recording; None: nothing. Files of other people need not be there yet.

    Args:
        file: of the EEG, its path below the folder.

    Raises:
        PhysiopipeError: as `read_labels`.
    """
    named = _OF_BIDS_PATH.match(file) if declared.layout == "bids" else None
    return _labels(root, declared, named[1] if named else None).get(file)


def read_labels(root: Path, declared: OwnCohort) -> dict[str, Labelled]:
    """Every recording that the table names, by its path below the folder, in the table's order.

    Raises:
        PhysiopipeError: no such table, a column or a value that is missing or wrong, a file named twice.
    """
    found = _labels(root, declared, None)
    if not found:
        raise PhysiopipeError(f"{root / declared.labels} names no recording: there is nothing to do.")
    return found


def _labels(root: Path, declared: OwnCohort, person: str | None) -> dict[str, Labelled]:
    """The table's recordings; of one person alone, where the table names people and no files."""
    path = root / declared.labels
    try:
        about = path.stat()
    except OSError as error:
        raise PhysiopipeError(
            f"{path} cannot be read ({error.strerror}): expected a table with the columns file, subject and "
            f"{', '.join(declared.tasks)}. `data.<name>.path` names its folder, `cohorts.own.<name>.labels` the table."
        ) from None
    return dict(_read(path, root, declared.model_dump_json(), person, about.st_mtime_ns, about.st_size))


@lru_cache(maxsize=8)
def _read(path: Path, root: Path, declared_json: str, person: str | None, *_: int) -> dict[str, Labelled]:
    declared = OwnCohort.model_validate_json(declared_json)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise PhysiopipeError(f"{path} is no UTF-8 text: save the table as .csv or .tsv in UTF-8.") from None
    reader = csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix == ".tsv" else ",")
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    file_column, subject_column = (_first(columns, names) for names in (_FILE, _SUBJECT))
    if missing := [task for task in declared.tasks if task not in columns]:
        raise PhysiopipeError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(columns) or 'none'}.")
    if file_column is None and (declared.layout != "bids" or subject_column is None):
        wanted = "file" if declared.layout != "bids" else "file or participant_id"
        raise PhysiopipeError(f"{path} has no column {wanted}; it has: {', '.join(columns) or 'none'}.")
    if subject_column is None and declared.layout != "bids":
        raise PhysiopipeError(f"{path} has no column subject; it has: {', '.join(columns)}.")
    found: dict[str, Labelled] = {}
    clips: dict[str, int] = defaultdict(int)
    seen: set[str] = set()
    for number, row in enumerate(reader, start=2):
        where = f"{path}, line {number}"
        values = {key: (value or "").strip() for key, value in row.items() if key is not None}
        subject = _subject(values.get(subject_column or "", ""), values.get(file_column or "", ""), declared, where)
        if file_column is None and person not in (None, subject):
            continue
        ratings = {task: value for task in declared.tasks if (value := _label(values[task], task, where)) is not None}
        files = [_file(values[file_column], where)] if file_column else _of_person(root, subject)
        if not files:
            raise PhysiopipeError(f"{where}: {root} holds no sub-{subject}/…_eeg.edf. Take the row out, or bring them.")
        for file in files:
            ecg_file = _ecg_file(values[_ECG_FILE], where) if _ECG_FILE in columns else _beside(file, declared, where)
            if twice := [each for each in (file, ecg_file) if each in seen]:
                raise PhysiopipeError(f"{where}: {twice[0]} is named twice: one row a file is expected.")
            seen |= {file, ecg_file}
            clips[subject] += 1
            clip = _clip(values.get("clip", ""), where) if file_column and values.get("clip") else clips[subject]
            found[file] = Labelled(file, subject, clip, ratings, ecg_file)
    _check_unique(path, found)
    return found


def _check_unique(path: Path, found: dict[str, Labelled]) -> None:
    seen: dict[str, str] = {}
    for one in found.values():
        names = (f"the name {record_of(file)}" for file in one.files)
        for key in (*names, f"person {one.subject} and clip {one.clip}"):
            if (other := seen.setdefault(key, one.file)) != one.file:
                raise PhysiopipeError(
                    f"{path}: {other} and {one.file} share {key}: each must have its own. Rename one, or mend the "
                    "column clip."
                )


def _first(columns: list[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in columns), None)


def _file(text: str, where: str) -> str:
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or path.suffix.lower() != ".edf":
        raise PhysiopipeError(f"{where}: expected the path of an .edf file below the folder, found {text[:80]!r}.")
    return path.as_posix()


def _ecg_file(text: str, where: str) -> str:
    """The file that the table names for the ECG: as `_file`, or BIDS's table of signals."""
    if not text.endswith(ENDING):
        return _file(text, f"{where}, {_ECG_FILE}")
    return _file(text.removesuffix(ENDING) + ".edf", where).removesuffix(".edf") + ENDING


def _beside(file: str, declared: OwnCohort, where: str) -> str:
    """The file of the ECG, as the declaration has it."""
    if declared.ecg_files == "same":
        return file
    if not file.endswith(_EEG_ENDING):
        raise PhysiopipeError(
            f"{where}: ecg_files is {declared.ecg_files}, which is looked for beside a file …{_EEG_ENDING}, and this "
            f"one is {file[:80]!r}. Name the ECG's file in a column {_ECG_FILE}."
        )
    return file.removesuffix(_EEG_ENDING) + _ECG_ENDINGS[declared.ecg_files]


def _subject(text: str, file: str, declared: OwnCohort, where: str) -> str:
    if declared.layout == "bids":
        named = _OF_BIDS_PATH.match(text or file)
        text = named[1] if named else text
    if _SUBJECT_NAME.fullmatch(text) is None:
        raise PhysiopipeError(
            f"{where}: expected a person's name of letters, digits, `.`, `_` and `-`, found {text[:80]!r}."
        )
    return text


def _label(text: str, task: str, where: str) -> float | None:
    if text.lower() in _NOT_KNOWN:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PhysiopipeError(f"{where}: {task} is {text[:40]!r}, expected a number, or n/a where it is not known.")
    return value


def _clip(text: str, where: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise PhysiopipeError(f"{where}: clip is {text[:40]!r}, expected a whole number from 1 on.")
    return int(text)


def _of_person(root: Path, subject: str) -> list[str]:
    """The EDF recordings of a BIDS person, in the order of their names, over all sessions."""
    found = (root / f"sub-{subject}").rglob("*_eeg.edf")
    return sorted(path.relative_to(root).as_posix() for path in found)
