"""A published tree of good records, and copies of it with records that are bad in every way known."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physiopipe.cohorts.challenge_simulation import LEADS

SOURCE = "training/georgia/g1"
GOOD = "sim_E00001"
SECONDS = 10
RATE_HZ = 500


@dataclass(frozen=True)
class Bad:
    """A record made from a good one, and what must be told of it: a part of its reason, or None where it is kept."""

    name: str
    make: Callable[[list[str], bytes], tuple[list[str], bytes]]
    reason: str | None


def _samples(mat: bytes) -> npt.NDArray[np.int16]:
    return np.frombuffer(mat, "<i2", offset=24).reshape(-1, len(LEADS)).copy()


def _with(lines: list[str], samples: npt.NDArray[np.int16], leads: tuple[str, ...] = LEADS) -> tuple[list[str], bytes]:
    """Header and `.mat` of other samples (time, lead), consistent with each other."""
    words = lines[0].split()
    words[1], words[3] = str(samples.shape[1]), str(len(samples))
    described = {line.split()[-1]: line.split() for line in lines[1 : len(LEADS) + 1]}
    rows = []
    for lead, column in zip(leads, samples.T, strict=True):
        row = described[lead]
        row[5], row[6] = str(column[0]), str(int(column.sum(dtype=np.int16)))
        rows.append(" ".join(row))
    head = np.array([30, samples.shape[1], len(samples), 0, 4], "<i4").tobytes() + b"val\0"
    return [" ".join(words), *rows, *lines[len(LEADS) + 1 :]], head + samples.astype("<i2").tobytes()


def _length(samples: int) -> Callable[[list[str], bytes], tuple[list[str], bytes]]:
    def make(lines: list[str], mat: bytes) -> tuple[list[str], bytes]:
        words = lines[0].split()
        words[3] = str(samples)
        return [" ".join(words), *lines[1:]], mat

    return make


def _each_signal(old: str, new: str) -> Callable[[list[str], bytes], tuple[list[str], bytes]]:
    def make(lines: list[str], mat: bytes) -> tuple[list[str], bytes]:
        assert old in lines[1]
        return [lines[0], *(line.replace(old, new) for line in lines[1:13]), *lines[13:]], mat

    return make


def _without(lead: str) -> Callable[[list[str], bytes], tuple[list[str], bytes]]:
    def make(lines: list[str], mat: bytes) -> tuple[list[str], bytes]:
        kept = tuple(name for name in LEADS if name != lead)
        return _with(lines, np.delete(_samples(mat), LEADS.index(lead), axis=1), kept)

    return make


def _nan(lines: list[str], mat: bytes) -> tuple[list[str], bytes]:
    samples = _samples(mat)
    samples[100:200, 3] = -32768
    return _with(lines, samples)


def _seconds(seconds: float) -> Callable[[list[str], bytes], tuple[list[str], bytes]]:
    return lambda lines, mat: _with(lines, _samples(mat)[: round(seconds * RATE_HZ)])


BAD = (
    Bad("bad_truncated", lambda lines, mat: (lines, mat[: len(mat) // 2]), "holds 60012 bytes, expected 120024"),
    Bad("bad_no_samples", lambda lines, mat: (lines, b""), "holds 0 bytes"),  # noqa: ARG005
    Bad("bad_empty_header", lambda lines, mat: ([], mat), "header bad_empty_header.hea is empty"),  # noqa: ARG005
    Bad("bad_longer", _length(6000), "holds 120024 bytes, expected 144024"),
    Bad("bad_shorter", _length(4000), "holds 120024 bytes, expected 96024"),
    Bad("bad_climbs", _each_signal("bad_climbs.mat", f"../{Path(SOURCE).name}/{GOOD}.mat"), "unsafe file"),
    Bad("bad_absolute", _each_signal("bad_absolute.mat", "/etc/passwd"), "unsafe file"),
    Bad("bad_nan", _nan, "NaN: 100 samples are marked invalid"),
    Bad("bad_gain", _each_signal("1000.0(0)/mV", "0(0)/mV"), "no usable gain for I: 0.0"),
    Bad("bad_unit", _each_signal("1000.0(0)/mV", "1000.0(0)/furlong"), "no usable unit for I: 'furlong'"),
    Bad("bad_instant", _seconds(0.3), "0.3 s long: at no rate does it fill 40% of a window"),
    Bad("odd_one_second", _seconds(1), None),
    Bad("odd_without_v6", _without("V6"), None),
    Bad("odd_without_ii", _without("II"), None),
    Bad("odd_without_avf", _without("aVF"), None),
    Bad("odd_without_iii", _without("III"), None),
    Bad("odd_all_zero", lambda lines, mat: _with(lines, 0 * _samples(mat)), None),
)


def add_bad_records(tree: Path, *more_names: str) -> None:
    """Publish every bad record among the good ones of one source, and list `more_names` too."""
    folder = tree / SOURCE
    lines, mat = (folder / f"{GOOD}.hea").read_text().splitlines(), (folder / f"{GOOD}.mat").read_bytes()
    assert lines[0].split()[1:4] == ["12", str(RATE_HZ), str(SECONDS * RATE_HZ)]
    names = (folder / "RECORDS").read_text().split()
    for number, bad in enumerate(BAD):
        header, samples = bad.make([line.replace(GOOD, bad.name) for line in lines], mat)
        (folder / f"{bad.name}.hea").write_text("".join(f"{line}\n" for line in header))
        (folder / f"{bad.name}.mat").write_bytes(samples)
        names.insert(2 * number % len(names), bad.name)
    (folder / "RECORDS").write_text("".join(f"{name}\n" for name in [*names, *more_names]))
    publish_sums(tree)


def publish_sums(tree: Path) -> None:
    """Write SHA256SUMS.txt of a tree as it is."""
    (tree / "SHA256SUMS.txt").unlink(missing_ok=True)
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(tree)}\n" for path in files]
    (tree / "SHA256SUMS.txt").write_text("".join(sums))


def copy_tree(source: Path, target: Path) -> Path:
    """A copy of a published tree's two sources, which may be changed."""
    for name in ("georgia", "ptb"):
        shutil.copytree(source / "training" / name, target / "training" / name)
    (target / "RECORDS").write_text("training/georgia/g1/\ntraining/ptb/g1/\n")
    publish_sums(target)
    return target
