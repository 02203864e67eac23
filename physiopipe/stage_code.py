"""What code each stage of dvc.yaml depends on, as digests: a stage reruns where they change, and only then.

Stages depend on `data/inputs/code/<stage>.json` and never on folders of the package: else registering one method would
rerun every stage, and a study without the package's source would have nothing to depend on.
"""

from pathlib import Path

from physiopipe.code_digest import code_digest
from physiopipe.cohorts.registry import OWN, cohort, cohort_places
from physiopipe.files import sha256_file, sha256_json
from physiopipe.methods.registry import method_module
from physiopipe.params import Params
from physiopipe.signals.processing import PROCESSING_VERSION

_ROOT = Path(__file__).parent
_EXPERIMENT = "physiopipe.experiments.cross_validation"
_MODULES = {  # of methods, as imports do not show them: `ablate` names those of all ablations
    "pretrain": ("physiopipe.windows.pretraining",),
    "ablate": (
        "physiopipe.experiments.ablations",
        "physiopipe.methods.ours",
        "physiopipe.methods.handcrafted",
        "physiopipe.methods.nearest_neighbours",
        "physiopipe.methods.brant_x_style",
        "physiopipe.methods.single_modality",
        "physiopipe.methods.in_domain",
        "physiopipe.methods.mixed_features",
        "physiopipe.methods.tfc",
        "physiopipe.methods.simmtm",
        "physiopipe.methods.lin_style",
    ),
    "robustness": ("physiopipe.experiments.robustness",),
    "evaluate": ("physiopipe.results.evaluate",),
    "report": ("physiopipe.report.page", "physiopipe.report.figures", "physiopipe.raw_recordings"),
}
_FILES = {
    "evaluate": ("results/coverage.csv",),
    "report": ("results/coverage.csv", "report/page.html", "cohorts/sources.csv"),
}


def stage_digests(params: Params) -> dict[str, str]:
    """Digest of each stage's code; that of stored windows is a version that rises when the code changes their bytes."""
    modules = {stage: list(names) for stage, names in _MODULES.items()}
    cohorts = _of_cohorts(params)  # tasks, thresholds, splits and clip rules are theirs
    for stage in ("ablate", "robustness", *_FILES):
        modules[stage] += cohorts
    found = {stage: code_digest(*names) for stage, names in modules.items()}
    for stage, names in _FILES.items():
        files = (*names, *_tables_of_cohorts(params))
        found[stage] = sha256_json([found[stage], *(sha256_file(_ROOT / name) for name in files)])
    found["windows"] = f"processing version {PROCESSING_VERSION}"
    for name in dict.fromkeys((*params.methods, *params.robustness.methods)):
        found[f"finetune-{name}"] = code_digest(method_module(name), _EXPERIMENT, *cohorts)
    return found


def _tables_of_cohorts(params: Params) -> list[str]:
    """Tables that a cohort's module reads: those of its own name (`dreamer_reported.csv`)."""
    tables = (f"{module.partition('.')[2].replace('.', '/')}.csv" for module in _of_cohorts(params))
    return [name for name in tables if (_ROOT / name).is_file()]


def _of_cohorts(params: Params) -> list[str]:
    """Modules that cohorts name by import strings, and their own, which the registry names so."""
    named = []
    for name in params.cohorts.in_use:
        known = cohort(name)
        named += [cohort_places().get(name, OWN), *filter(None, (known.latents, known.reported))]
    return list(dict.fromkeys(each.partition(":")[0] for each in named))
