"""Every knob of the study: names with units, defaults, limits and descriptions.

`params.yaml` holds all of them; sections are named after the rules and stages that read them, so that a changed
number reruns what depends on it and nothing else. `workflow/schemas/params.schema.json` is generated from here.
"""

from physiopipe.params.data import SOURCES, ChallengeData, DreamerData, SimulateChallenge, SimulateDreamer, Source
from physiopipe.params.preparation import Filter, Quality, Resample, Shard
from physiopipe.params.reading import check_params, load_params
from physiopipe.params.run import Run
from physiopipe.params.section import PATCH_SAMPLES
from physiopipe.params.study import ABLATIONS, FUSIONS, METHODS, AblationName, Evaluate, MethodName, Robustness
from physiopipe.params.training import Encoder, Finetune, Masking, Objective, Pretrain, Weights
from physiopipe.params.whole import Params

__all__ = [
    "ABLATIONS",
    "FUSIONS",
    "METHODS",
    "PATCH_SAMPLES",
    "SOURCES",
    "AblationName",
    "ChallengeData",
    "DreamerData",
    "Encoder",
    "Evaluate",
    "Filter",
    "Finetune",
    "Masking",
    "MethodName",
    "Objective",
    "Params",
    "Pretrain",
    "Quality",
    "Resample",
    "Robustness",
    "Run",
    "Shard",
    "SimulateChallenge",
    "SimulateDreamer",
    "Source",
    "Weights",
    "check_params",
    "load_params",
]
