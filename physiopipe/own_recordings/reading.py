"""Recordings of a folder one after the other: what cannot be read is noted with its reason, and told at the end."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, shorten
from physiopipe.own_recordings.channels import UNITS, ecg_recording, modality_recording
from physiopipe.recordings.opening import Found, find_recordings, open_recording, readable_files
from physiopipe.recordings.recording import LongRecording, Recording, RejectedRecord

_REASON = 400  # characters
_TOLD = 5  # refused recordings that are named on the terminal


@dataclass
class Refused:
    """Recordings that could not be used: (name, file, reason)."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write record, file, reason as csv; only its first line where all could be used."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["record", "file", "reason"])
        writer.writerows(self.rows)
        with atomic_file(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")


class Recordings:
    """The recordings of a place, with a progress bar on a terminal and plain lines for what is refused."""

    def __init__(self, place: Path, verb: str, *, paired: bool = False) -> None:
        """Find them.

        Args:
            paired: whether `X_eeg` and `X_ecg` of one folder, as BIDS calls them, are one recording, named by the
                EEG's file; `ecg_of` then has the other, also where `place` is the EEG's file alone.

        Raises:
            PhysiopipeError: no such place, or no recording there.
        """
        self.found, self.refused, self.used = find_recordings(place), Refused(), 0
        self.ecg_of: dict[Path, Path] = {}
        self._verb = verb
        if paired:
            here = [each.path for each in self.found] if place.is_dir() else readable_files(place.parent)
            beside = {path.with_name(path.stem): path for path in here}
            names = [(each.path, each.path.stem.removesuffix("_eeg")) for each in self.found]
            self.ecg_of = {
                path: beside[path.with_name(f"{name}_ecg")]
                for path, name in names
                if name != path.stem and path.with_name(f"{name}_ecg") in beside
            }
            taken = set(self.ecg_of.values())
            self.found = [each for each in self.found if each.path not in taken]

    def each(self) -> Iterator[tuple[Found, Callable[[float], None]]]:
        """Each recording, and what is called with the share of it that is done."""
        with tqdm(total=len(self.found), desc=self._verb, unit=" recordings", disable=None,
                  bar_format="{desc}: {percentage:3.0f}% |{bar}| {n:.1f}/{total} recordings [{elapsed}<{remaining}]",
                  ) as bar:  # fmt: skip
            for number, found in enumerate(self.found):

                def done(share: float, before: int = number) -> None:
                    bar.update(max(before + min(share, 1.0) - bar.n, 0))

                yield found, done
                done(1.0)

    @contextmanager
    def noting(self, found: Found) -> Iterator[None]:
        """Note a recording that cannot be used, and go on."""
        try:
            yield
        except (RejectedRecord, PhysiopipeError) as error:
            reason = shorten(error.reason if isinstance(error, RejectedRecord) else str(error), _REASON)
            self.refused.rows.append((found.name, shorten(str(found.path), _REASON), reason))
            if len(self.refused.rows) <= _TOLD:
                tqdm.write(f"refused {found.name}: {reason}")
            elif len(self.refused.rows) == _TOLD + 1:
                tqdm.write("more are refused: the csv has them all")
        else:
            self.used += 1

    def last_line(self, done: str, out: Path, refused: Path) -> str:
        """How many were used and how many refused."""
        count = len(self.refused.rows)
        why = f" (why: {refused})" if count else ""
        return f"{self.used} of {len(self.found)} recordings {done}: {out}; {count} refused{why}"

    def refuse_all(self, refused: Path, what: str) -> PhysiopipeError:
        """The error where none could be used."""
        first = self.refused.rows[0]
        return PhysiopipeError(
            f"none of the {len(self.found)} recordings could be {what}; the first, {first[0]}: {first[2]}. "
            f"All reasons are in {refused}."
        )


def beside(out: Path, what: str) -> Path:
    """`embeddings.refused.csv` beside `embeddings.parquet`."""
    return out.with_name(f"{out.stem}.{what}")


def named_channels(texts: Sequence[str]) -> dict[str, str]:
    """What `--channel WANTED=NAME` says, given several times.

    Raises:
        PhysiopipeError: a text without `=`, or one channel named twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        wanted, equals, name = text.partition("=")
        if not equals or not wanted.strip() or not name.strip():
            raise PhysiopipeError(f"--channel {text!r}: expected WANTED=NAME, as --channel 'II=ECG 2'.")
        if wanted.strip() in found:
            raise PhysiopipeError(f"--channel names {wanted.strip()!r} twice.")
        found[wanted.strip()] = name.strip()
    return found


def read_recording(
    path: str | Path,
    modality: str = "ecg",
    channels: Sequence[str] | None = None,
    named: Mapping[str, str] | None = None,
) -> Recording | LongRecording:
    """Read one recording (WFDB, EDF, BrainVision, EEGLAB, BioSemi): float32 (channel, time).

    A long one (above 131,072 samples) comes as a `LongRecording`, whose samples are read in stretches.

    Args:
        path: its file, or its header (.hea, .vhdr).
        modality: ecg (mV; twelve leads in clinical order, missing ones 0, or one row where a single lead is not named)
            or eeg (µV).
        channels: names to read, in this order; needed for EEG, whose electrodes differ from study to study.
        named: lead or electrode → name of the file's channel, where the name does not tell.

    Raises:
        RejectedRecord: it cannot be used, with the reason.
        PhysiopipeError: no such file, an unknown format or modality, or the system would not let it be read.
    """
    path = Path(path)
    if modality not in UNITS:
        raise PhysiopipeError(f"modality {modality!r} is not known: expected ecg or eeg.")
    if not path.is_file():
        raise PhysiopipeError(f"{path} is missing: name a recording's file, or its header.")
    file, name = open_recording(path), shorten(path.stem)
    if modality == "ecg" and channels is None:
        return ecg_recording(file, name, named)
    if channels is None:
        raise PhysiopipeError(f"which electrodes? {path.name} has: {', '.join(each.name for each in file.channels)}.")
    return modality_recording(file, name, "eeg" if modality == "eeg" else "ecg", tuple(channels), named)
