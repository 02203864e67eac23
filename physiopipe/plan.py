"""Where the data half keeps its files, and which parameters and inputs name them.

Simulated recordings, plans and finished parts lie in folders named by the digest of all that determines them, so a
changed source or parameter is seen whatever the files' times say, and a reverted one costs only what is really missing.
Light imports: the Snakefile loads this module each time it is parsed.
"""

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from physiopipe.cohorts.base import Cohort, OneFile, OwnFolder, PublishedList, PublishedTree, imported
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file, sha256_json, write_json
from physiopipe.params import Params
from physiopipe.recordings.tree import (
    Batch,
    check_records,
    lists_sha256,
    local_folder,
    open_tree,
    read_plan,
    read_planned_batch,
)
from physiopipe.signals.processing import PROCESSING_VERSION
from physiopipe.windows.identity import LOCATIONS, STEPS, part_digest

DATA = Path("data")
LOCKS = DATA / "locks"
SIMULATED = "simulated"
_SETTLED_S = 2.0
_MOST_DIGESTS = 15
_JUDGED_LATER = ("max_rejected_share",)  # by `collect`


@dataclass(frozen=True)
class PlannedPart:
    """One batch of one modality: a unit of work, and the folder its result will have."""

    cohort: str
    modality: str
    batch: str
    digest: str

    @property
    def folder(self) -> Path:
        return DATA / "parts" / f"{self.cohort}-{self.modality}" / self.batch / self.digest


def plan_folder(params: Params, name: str) -> Path:
    """Where the plan of a cohort is kept: named by its parameters and by what its source holds now."""
    data = {key: value for key, value in _without_location(params, name).items() if key not in _JUDGED_LATER}
    content = {
        "data": data,
        "source": source_state(params, name),
        "processing_version": PROCESSING_VERSION,
    }
    return DATA / "plan" / name / sha256_json(content)[:24]


def simulated_file(params: Params, name: str) -> Path:
    """The file of a simulated cohort that is written last."""
    content = {
        "simulate": params.simulate[name].model_dump(mode="json"),
        "processing_version": PROCESSING_VERSION,
    }
    return DATA / "simulated" / name / sha256_json(content)[:24] / cohort(name).simulated_file


def source_state(params: Params, name: str) -> dict[str, Any]:
    """What tells one state of a cohort's source from another: digests of contents, no address and no folder.

    A simulated cohort is determined by its parameters. A tree on a server is taken to stay as it is at its address:
    published versions do, and looking would need the network each time. A source that is missing is left to `discover`,
    whose error says how to get it.
    """
    if params.simulated(name):
        return {"origin": SIMULATED, "simulate": params.simulate[name].model_dump(mode="json")}
    location = source_location(params, name)
    if isinstance(cohort(name).publication, OneFile):
        return {"sha256": known_sha256(path)} if (path := Path(location).expanduser()).is_file() else {"missing": True}
    publication = cohort(name).publication
    if isinstance(publication, PublishedList):  # the package's own list says what every file is, wherever it lies
        return {"list_sha256": sha256_file(publication.list_path)}
    folder = local_folder(location)
    if isinstance(publication, OwnFolder) and folder is not None:
        if not location or not folder.is_dir():
            raise PhysiopipeError(f"data.{name}.path is {location!r}: expected the folder of the recordings.")
        files = imported(publication.listing)(folder, params.data[name])
        found = known_sha256s([folder / file for file in files], DATA / f"digests-{name}.json")
        return {"files_sha256": sha256_json(list(zip(files, found, strict=True)))}
    if folder is None:
        return {"address_sha256": sha256_json(location.rstrip("/"))}
    return {"lists_sha256": lists_sha256(folder)} if folder.is_dir() else {"missing": True}


def known_sha256(path: Path) -> str:
    """The sha256 of a large file that rarely changes, looked up by what changes with every write to it.

    A file's inode and the time of its last change (which nobody can set, unlike that of its content) name the entry; a
    file that was changed a moment ago is hashed anew each time, for clocks are coarse.
    """
    key = _state_of(path)
    kept = DATA / "digests.json"
    try:
        known: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if isinstance(known.get(key), str):
        return known[key]
    digest = sha256_file(path)
    if time.time() - path.stat().st_ctime > _SETTLED_S and _state_of(path) == key:
        write_json(kept, {key: digest} | dict(list(known.items())[:_MOST_DIGESTS]))
    return digest


def known_sha256s(paths: list[Path], kept: Path) -> list[str]:
    """As `known_sha256`, of a folder's files, whose digests are kept together."""
    try:
        known: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    found: list[str] = []
    settled: dict[str, str] = {}
    for path in paths:
        key = _state_of(path)
        found.append(known[key] if isinstance(known.get(key), str) else sha256_file(path))
        if time.time() - path.stat().st_ctime > _SETTLED_S and _state_of(path) == key:
            settled[key] = found[-1]
    if settled != known:
        write_json(kept, settled)
    return found


def _state_of(path: Path) -> str:
    about = path.stat()
    return f"{about.st_dev}-{about.st_ino}-{about.st_size}-{about.st_mtime_ns}-{about.st_ctime_ns}"


def source_location(params: Params, name: str) -> str:
    """URL or folder of a published tree, or path of a published file: simulated or real."""
    publication = cohort(name).publication
    if params.simulated(name):
        last = simulated_file(params, name)
        return str(last if isinstance(publication, OneFile) else last.parent)
    by_path = isinstance(publication, OneFile | OwnFolder)
    return str(params.data[name].path if by_path else params.data[name].base_url)


def raw_folder(params: Params, name: str) -> Path:
    """Where the recordings of a published tree are kept once downloaded, in the published layout."""
    publication = cohort(name).publication
    assert isinstance(publication, PublishedTree)
    return DATA / "raw" / (f"{name}-{SIMULATED}" if params.simulated(name) else publication.folder)


def cohort_of_tree(params: Params, folder: str) -> str:
    """The study's cohort whose published tree is kept in this folder of data/raw: the first, where two share one."""
    for name in params.cohorts.in_use:
        publication = cohort(name).publication
        if isinstance(publication, PublishedTree) and folder in (publication.folder, f"{name}-{SIMULATED}"):
            return name
    raise PhysiopipeError(f"data/raw/{folder} is the folder of no published tree of the study's cohorts.")


def inputs_digest(batch: Batch) -> str:
    """Names a batch by the published checksums of its files."""
    return sha256_json([list(entry) for entry in batch.files])


def recordings_file(params: Params, name: str, batch: Batch) -> Path:
    """What `filter` starts from: the stamp of a downloaded batch, or of a file that was unpacked."""
    if isinstance(cohort(name).publication, PublishedTree):
        return raw_folder(params, name) / "complete" / batch.name / f"{inputs_digest(batch)[:16]}.json"
    reading = {key: getattr(params.data[name], key) for key in cohort(name).reading}
    digest = sha256_json([inputs_digest(batch), reading, PROCESSING_VERSION])[:16]
    return DATA / "raw" / f"{name}-unpacked" / digest / "unpacked.json"


def discover_batches(params: Params, name: str) -> list[Batch]:
    """Learn the batches of a cohort from its published tree, or from its one file (one batch)."""
    publication, location = cohort(name).publication, source_location(params, name)
    if isinstance(publication, PublishedTree):
        found: list[Batch] = imported(publication.plan)(open_tree(location, params.run), params.data[name])
        check_records(found, location)
        return found
    path = require_file(cohort(name), Path(location).expanduser())
    return [Batch(name, name, ((path.name, sha256_file(path)),))]


def require_file(known: Cohort, path: Path) -> Path:
    """The path of a cohort's one file, or an error that says how to get it."""
    assert isinstance(known.publication, OneFile)
    if not path.is_file():
        raise PhysiopipeError(f"{path} is missing. {known.publication.access}")
    return path


def local_inputs(params: Params) -> dict[str, Any]:
    """What the study reads: the state of each cohort's source with the parameters that say how, and the weights."""
    found: dict[str, Any] = {}
    for name in params.cohorts.in_use:
        if isinstance(cohort(name).publication, OneFile) and not params.simulated(name):
            require_file(cohort(name), Path(source_location(params, name)).expanduser())
        found[name] = {"data": _without_location(params, name), "source": source_state(params, name)}
    weights = params.encoders.eeg_weights
    found["weights"] = {"origin": weights.origin}
    if weights.origin == "file":
        path = Path(weights.path)
        if not path.is_file():
            raise PhysiopipeError(
                f"{path} is missing: put the EEG encoder's weights there, name them in encoders.eeg_weights.path, or "
                "set encoders.eeg_weights.origin to hub (download) or none (untrained)."
            )
        found["weights"]["sha256"] = sha256_file(path)
        if told := weights.of_another_file(path, found["weights"]["sha256"]):
            raise PhysiopipeError(told)
    return found


def planned_batches(params: Params, name: str) -> list[Batch]:
    """Every batch of a cohort, after `discover` has written its plan."""
    return _batches_in(plan_folder(params, name), Path.cwd())


@lru_cache(maxsize=32)
def _batches_in(folder: Path, _: Path) -> list[Batch]:
    """Asked for several times a run; a plan never changes under its name in one study, which the second names."""
    return read_plan(folder)


def planned_parts(params: Params, name: str) -> list[PlannedPart]:
    """Every part of a cohort, after `discover` has written its plan."""
    return [
        PlannedPart(name, modality, batch.name, part_digest_of(params, name, modality, batch))
        for modality in cohort(name).modalities
        for batch in planned_batches(params, name)
    ]


def part_digest_of(params: Params, name: str, modality: str, batch: Batch) -> str:
    """The digest that names the part of a batch and modality."""
    return part_digest(
        cohort_parameters(params, name),
        name=name,
        modality=modality,
        inputs=inputs_digest(batch),
        simulated=params.simulated(name),
    )


def missing_sources(params: Params, name: str) -> list[str]:
    """Sources that the parameters ask for and the plan has no recording of."""
    found = {batch.source for batch in planned_batches(params, name)}
    return [source for source in getattr(params.data[name], "sources", ()) if source not in found]


def planned_batch(params: Params, name: str, batch: str) -> Batch:
    """One batch of a cohort's plan, by name."""
    return read_planned_batch(plan_folder(params, name), batch)


def cohort_parameters(params: Params, name: str) -> dict[str, Any]:
    """The parameters that the windows of a cohort depend on; recorded in the manifest."""
    sections = ("simulate", *STEPS) if params.simulated(name) else STEPS
    chosen = {section: getattr(params, section)[name].model_dump(mode="json") for section in sections}
    return {"data": _without_location(params, name), **chosen}


def _without_location(params: Params, name: str) -> dict[str, Any]:
    """A cohort's section of `data` but for where its recordings lie: the same ones may be read from anywhere."""
    content: dict[str, Any] = params.data[name].model_dump(mode="json", exclude=set(LOCATIONS))
    if isinstance(cohort(name).publication, OwnFolder):
        content["declared"] = params.data[name].declared.of_windows()
    return content
