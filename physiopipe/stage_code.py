"""What code each stage of dvc.yaml depends on, as digests: a stage reruns where they change, and only then.

Stages depend on `data/inputs/code/<stage>.json` and never on folders of the package: else registering one method would
rerun every stage, and a study without the package's source would have nothing to depend on.
"""

from physiopipe.code_digest import code_digest
from physiopipe.methods.registry import METHODS
from physiopipe.params import Params
from physiopipe.signals.processing import PROCESSING_VERSION

_EXPERIMENT = "physiopipe.experiments.cross_validation"
_MODULES = {
    "pretrain": ("physiopipe.windows.pretraining",),
    "ablate": ("physiopipe.experiments.ablations", "physiopipe.methods.ours", "physiopipe.methods.nearest_neighbours"),
    "robustness": ("physiopipe.experiments.robustness",),
    "evaluate": ("physiopipe.results.evaluate", "physiopipe.results.side_tables"),
    "report": ("physiopipe.report.page", "physiopipe.report.figures"),
}


def stage_digests(params: Params) -> dict[str, str]:
    """Digest of each stage's code; that of stored windows is a version that rises when the code changes their bytes."""
    found = {stage: code_digest(*modules) for stage, modules in _MODULES.items()}
    found["windows"] = f"processing version {PROCESSING_VERSION}"
    for name in dict.fromkeys((*params.methods, *params.robustness.methods)):
        module = METHODS[name].partition(":")[0]
        found[f"finetune-{name}"] = code_digest(module, _EXPERIMENT)
    return found
