"""What a study's folder takes on the disk, and what of it is left of other parameters or cohorts: `clean` removes that.

Needed is what the parameters name now, by the same digests that the workflow goes by. What cannot be known is left, and
said. Nothing is ever removed of downloads and of results/.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from physiopipe import plan
from physiopipe.cohorts.base import PublishedTree
from physiopipe.cohorts.registry import cohort, cohort_places
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.ablations import ABLATION_OF, variant_of
from physiopipe.experiments.cross_validation import CrossValidation, Study
from physiopipe.experiments.leaks import leaks_determined_by, leaky_runs
from physiopipe.experiments.robustness import corruptions_determined_by
from physiopipe.params import Params
from physiopipe.study_status import bytes_below
from physiopipe.workflow_run import claim, windows_are_current

_DATA = ("raw", "simulated", "parts", "windows", "work")
_DIGEST = re.compile(r"\.?([0-9a-f]{16,64})(\..*)?")  # with the leading point of what a killed run was writing
_OTHER_STATE = ("finetune", "pretrain")  # beside them: embeddings and features
_DEVICES = ("cpu", "cuda")  # folds made on another machine of the study are needed too


@dataclass
class Leftovers:
    """What no current study needs, and why other things are left where they are."""

    paths: dict[str, list[Path]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def add(self, what: str, paths: Iterable[Path]) -> None:
        if found := sorted(paths):
            self.paths.setdefault(what, []).extend(found)


def clean_lines(params: Params, encoder: Path, remove: bool = False) -> Iterator[str]:
    """What takes how much, what of it is not needed, and what is left; removes the second only where told to.

    Args:
        encoder: file of the study's pretrained ECG encoder.

    Raises:
        PhysiopipeError: a workflow is at work in this folder, or a file cannot be removed.
    """
    with claim() if remove else nullcontext():
        yield from _clean_lines(params, encoder, remove)


def _clean_lines(params: Params, encoder: Path, remove: bool) -> Iterator[str]:
    state = Path(params.run.state_folder)
    kept = sorted(path for path in state.glob("*") if path.is_dir())
    for folder in (*(plan.DATA / name for name in _DATA), *kept, Path(".dvc/cache")):
        if folder.exists():
            yield f"{folder}: {bytes_below(folder) / 1e6:,.1f} MB"
    found = leftovers(params, encoder)
    for what, paths in found.paths.items():
        size = _bytes_freed(paths)
        for path in paths if remove else ():
            _remove(path)
        yield f"{'removed' if remove else 'not needed'}: {what}: {len(paths)} found, {size / 1e6:,.1f} MB"
    yield from (f"left: {line}" for line in found.left)
    if not found.paths:
        yield "nothing to remove"
    elif not remove:
        yield "nothing was removed: `physiopipe clean --remove` removes what is not needed"


def leftovers(params: Params, encoder: Path) -> Leftovers:
    """What of data/ and of the kept state the parameters do not name."""
    found = Leftovers()
    _data_leftovers(params, found)
    _fold_leftovers(params, encoder, found)
    state = Path(params.run.state_folder)
    features = [path.name for path in sorted(state.glob("*")) if path.is_dir() and path.name not in _OTHER_STATE]
    if features:
        found.left.append(
            f"{', '.join(features)} in {state}: only reading every window tells whose they are. They are computed anew "
            "where they are missing: delete them by hand if you need the room."
        )
    if (state / "pretrain").exists():
        found.left.append(
            f"{state / 'pretrain'}: interrupted trainings and the ablations' encoders, hours of work each"
        )
    if Path(".dvc/cache").exists():
        found.left.append(".dvc/cache: `dvc gc --workspace` removes what dvc.lock does not name now")
    return found


def _data_leftovers(params: Params, found: Leftovers) -> None:
    parts, unpacked, simulated, unknown = set[Path](), set[Path](), set[Path](), set[str]()
    for name in params.cohorts.in_use:
        if params.simulated(name):
            simulated.add(plan.simulated_file(params, name).parent)
        try:
            parts |= {part.folder for part in plan.planned_parts(params, name)}
            if not isinstance(cohort(name).publication, PublishedTree):
                batches = plan.planned_batches(params, name)
                unpacked |= {plan.recordings_file(params, name, batch).parent for batch in batches}
        except PhysiopipeError:
            unknown.add(name)
            found.left.append(f"parts, unpacked recordings and work of {name}: its batches are not known yet")

    def unneeded(pattern: str, needed: set[Path], name_of: Callable[[Path], str]) -> list[Path]:
        there = [path for path in plan.DATA.glob(pattern) if _DIGEST.fullmatch(path.name)]
        return [path for path in there if name_of(path) not in unknown and _by_digest(path) not in needed]

    def of_part(path: Path) -> str:
        return path.parts[-3].rpartition("-")[0]

    found.add("parts of other parameters or cohorts", unneeded("parts/*/*/*", parts, of_part))
    found.add("simulated recordings of other parameters or cohorts", [
        path for path in plan.DATA.glob("simulated/*/*")
        if _DIGEST.fullmatch(path.name) and _by_digest(path) not in simulated
    ])  # fmt: skip
    found.add("unpacked recordings of other parameters or cohorts", unneeded(
        "raw/*-unpacked/*", unpacked, lambda path: path.parent.name.removesuffix("-unpacked")
    ))  # fmt: skip
    unfinished = {path for path in parts if not (path / "part.json").exists()}
    work = [path for path in plan.DATA.glob("work/*/*/*/*") if of_part(path) not in unknown]
    found.add("work of finished parts, other parameters or cohorts", [
        path for path in work if plan.DATA.joinpath("parts", *_by_digest(path).parts[-3:]) not in unfinished
    ])  # fmt: skip
    in_use = set(params.cohorts.in_use)
    found.add("simulated trees of cohorts that are not simulated now", [
        path for name in cohort_places()
        if (path := plan.DATA / "raw" / f"{name}-{plan.SIMULATED}").is_dir()
        and not (name in in_use and params.simulated(name))
    ])  # fmt: skip
    published = [cohort(name).publication for name in in_use]
    folders = {each.folder for each in published if isinstance(each, PublishedTree)}
    for name in sorted(set(cohort_places()) - in_use):
        publication = cohort(name).publication
        places = [plan.DATA / "windows" / name]
        if isinstance(publication, PublishedTree) and publication.folder not in folders:
            places.append(plan.DATA / "raw" / publication.folder)
        found.left.extend(
            f"{path}: the study does not use {name}; delete it by hand if no other needs it"
            for path in places
            if path.is_dir()
        )


def _fold_leftovers(params: Params, encoder: Path, found: Leftovers) -> None:
    folder = Path(params.run.state_folder) / "finetune"
    if not folder.is_dir():
        return
    if not folder.resolve().is_relative_to(Path.cwd().resolve()):
        found.left.append(f"{folder}: it lies outside this study, and others may keep their folds there")
        return
    stale = [name for name in params.cohorts.in_use if not windows_are_current(params, name)]
    if stale:
        found.left.append(f"{folder}: the windows of {', '.join(stale)} are still to be made, and name the folds")
        return
    try:
        named = fold_names(params, plan.DATA / "windows", encoder)
    except (PhysiopipeError, OSError) as error:
        found.left.append(f"{folder}: what the study's runs need cannot be told ({error})")
        return
    kept = [path for path in folder.iterdir() if _DIGEST.fullmatch(path.name) and path.is_file()]
    found.add(
        "fitted folds that no run of the study names", [path for path in kept if _by_digest(path).name not in named]
    )


def fold_names(params: Params, windows_root: Path, encoder: Path) -> set[str]:
    """Digests of all that methods, ablations and robustness of a study keep of their folds; no sample is read.

    Raises:
        PhysiopipeError: something that determines a method is not there (weights, an extra's library, a GPU).
        OSError: likewise, of a file.
    """
    names: set[str] = set()

    def add(study: Study, extra: dict[str, Any] | None = None, leaky: bool = False) -> None:
        if study.without_meaning:
            return
        validation = CrossValidation(study)
        for device in _DEVICES:
            runs = validation.runs(extra, device)
            for run in leaky_runs(runs) if leaky else runs:
                names.update((run.digest, run.fitted))

    for name in params.cohorts.downstream:
        ours = Study("ours", params, name, windows_root, encoder, Path(params.run.state_folder))
        for method in params.methods:
            add(replace(ours, method=method))
        for method in params.robustness.methods:
            add(replace(ours, method=method), corruptions_determined_by(params))
        for ablation in params.ablations.variants:
            variant, leaky = variant_of(ablation, ours), ABLATION_OF[ablation].leaky
            if variant.encoder_path in (None, encoder) or variant.encoder_path.exists():  # else nothing was fitted yet
                add(variant, leaks_determined_by() if leaky else None, leaky)
    return names


def _by_digest(path: Path) -> Path:
    """The path with a digest alone for its name: of a file's ending, and of what a killed run was writing, nothing."""
    match = _DIGEST.fullmatch(path.name)
    return path.with_name(match[1]) if match else path


def _bytes_freed(paths: Iterable[Path]) -> int:
    """Bytes of files whose last link is among these."""
    links: dict[tuple[int, int], tuple[int, int, int]] = {}
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else (path,):
            about = file.lstat()
            if not file.is_dir():
                seen = links.get((about.st_dev, about.st_ino), (0, 0, 0))[0]
                links[about.st_dev, about.st_ino] = (seen + 1, about.st_nlink, about.st_size)
    return sum(size for seen, there, size in links.values() if seen >= there)


def _remove(path: Path) -> None:
    """Remove a file or a folder: it loses its name first, so that where this is killed no part of it seems whole."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        else:
            gone = path if path.name.startswith(".") else path.with_name(f".{path.name}.partial")
            if gone != path:
                shutil.rmtree(gone, ignore_errors=True)
                path.rename(gone)
            shutil.rmtree(gone)
    except OSError as error:
        raise PhysiopipeError(
            f"{path} cannot be removed ({error.strerror}): ask whoever owns it, or look who uses it."
        ) from None
