"""Where the files lie that every study has: presets, rules, stages, profiles.

They exist once. In a checkout they are the files at its top (`dvc.yaml`, `workflow/`, …); in an installed wheel they
lie in `physiopipe/study`, where the build puts them (`tool.hatch.build.targets.wheel.force-include`).
"""

from pathlib import Path

from physiopipe.errors import PhysiopipeError

COPIED = ("dvc.yaml", "Snakefile", "workflow", "profiles", ".gitignore", ".dvcignore", ".dvc/config")  # by `new`
PRESETS = Path("presets")


def study_files() -> Path:
    """The folder that holds the files of a study.

    Raises:
        PhysiopipeError: the package was installed without them.
    """
    package = Path(__file__).parent
    for folder in (package / "study", package.parent):
        if (folder / PRESETS).is_dir() and all((folder / name).exists() for name in COPIED):
            return folder
    raise PhysiopipeError(
        f"{package} was installed without the files of a study (presets, dvc.yaml, workflow): install the wheel again."
    )


def preset_folders() -> tuple[Path, ...]:
    """Folders of presets, those of this study first: a file of the study stands before one of the same name."""
    own = (PRESETS,) if PRESETS.is_dir() else ()
    return (*own, study_files() / PRESETS)
