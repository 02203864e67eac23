"""BrainVision (.vhdr), EEGLAB (.set) and BioSemi (.bdf) files, read in stretches by MNE-Python."""

import configparser
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.files import shorten
from physiopipe.recordings.opened import Channel, Kind, OpenedFile
from physiopipe.recordings.recording import LongSignal, RejectedRecord
from physiopipe.recordings.wfdb import FILE_NAME
from physiopipe.recordings.wfdb_header import quoted, read_whole

_MAX_HEADER_BYTES = 1 << 20
_NAMED_FILES = ("DataFile", "MarkerFile")  # of a BrainVision header
_KINDS: dict[str, Kind] = {"ecg": "ecg", "eeg": "", "eog": "other", "emg": "other", "stim": "other", "resp": "other"}


class MneFile(OpenedFile):
    """A file that MNE-Python opens without loading its samples; it turns every voltage into volt."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            RejectedRecord: MNE cannot read it, or its header names a file outside its folder.
        """
        if not path.is_file():
            raise RejectedRecord(f"{path.name} is missing")
        if path.suffix.lower() == ".vhdr":
            _check_named_files(path)
        self._raw = _opened(path)
        if getattr(self._raw, "filenames", None):
            folder = path.resolve().parent
            for name in self._raw.filenames:
                if name is not None and Path(name).absolute().parent.resolve() != folder:
                    raise RejectedRecord(f"it names a file outside its folder: {quoted(str(name))}")
        rate_hz = float(self._raw.info["sfreq"])
        self.channels = tuple(
            Channel(shorten(name, 80), "V" if kind in ("eeg", "ecg", "eog", "emg") else "", rate_hz,
                    _KINDS.get(kind, ""))
            for name, kind in zip(self._raw.ch_names, self._raw.get_channel_types(), strict=True)
        )  # fmt: skip

    def samples(self, rows: Sequence[int]) -> LongSignal:
        """See OpenedFile."""
        return _MneSignal(self._raw, rows)


class _MneSignal(LongSignal):
    def __init__(self, raw: Any, rows: Sequence[int]) -> None:
        self._raw, self._rows, self.shape = raw, list(rows), (len(rows), len(raw.times))

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        try:
            found = self._raw.get_data(picks=self._rows, start=first, stop=end, verbose="error")
        except (MemoryError, PhysiopipeError):
            raise
        except Exception as error:  # what MNE raises depends on where a file differs
            raise RejectedRecord(f"MNE-Python cannot read its samples: {shorten(str(error), 120)}") from None
        return np.asarray(found, dtype=np.float32)


def _opened(path: Path) -> Any:
    import mne  # a second of imports

    readers = {
        ".vhdr": mne.io.read_raw_brainvision,
        ".set": mne.io.read_raw_eeglab,
        ".bdf": mne.io.read_raw_bdf,
    }
    logging.getLogger("mne").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of markers and positions, which are not read
            return readers[path.suffix.lower()](path, preload=False, verbose="error")
    except (MemoryError, PhysiopipeError):
        raise
    except Exception as error:  # what MNE raises depends on where a file differs
        raise RejectedRecord(f"MNE-Python cannot read it: {shorten(str(error), 120)}") from None


def _check_named_files(path: Path) -> None:
    """Refuse a BrainVision header that names files elsewhere than beside it."""
    text = read_whole(path, 0, _MAX_HEADER_BYTES).decode("utf-8", errors="replace")
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    begin = text.find("[Common Infos]")
    try:
        parser.read_string("" if begin < 0 else text[begin:].partition("[Comment]")[0])
    except configparser.Error as error:
        raise RejectedRecord(f"{path.name} is no BrainVision header: {shorten(str(error), 120)}") from None
    if not parser.has_option("Common Infos", "DataFile"):
        raise RejectedRecord(f"{path.name} is no BrainVision header: it names no DataFile")
    for key in _NAMED_FILES:
        name = (parser.get("Common Infos", key, fallback="") or "").replace("$b", path.stem)
        if name and not FILE_NAME.fullmatch(name):
            raise RejectedRecord(f"header names an unsafe file: {quoted(name)}")
