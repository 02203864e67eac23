"""Every parameter of the study: names with units, defaults, limits and descriptions.

`params.yaml` holds all of them; sections are named after the rules and stages that read them, so that a changed
number reruns what depends on it and nothing else. Sections of a cohort or a method lie in its own file.
`workflow/schemas/params.schema.json` is generated from here.
"""

from physiopipe.params.encoders import Encoder, Encoders, Weights
from physiopipe.params.preparation import Filter, Quality, Recordings, Resample, Shard
from physiopipe.params.pretraining import Masking, Objective, Pretrain
from physiopipe.params.reading import check_params, load_params
from physiopipe.params.run import Run
from physiopipe.params.section import Count, LearningRate, Positive, Section, Share
from physiopipe.params.study import Ablations, Evaluate, Robustness, StudyCohorts
from physiopipe.params.whole import Params, params_class
from physiopipe.patches import PATCH_SAMPLES

__all__ = [
    "PATCH_SAMPLES",
    "Ablations",
    "Count",
    "Encoder",
    "Encoders",
    "Evaluate",
    "Filter",
    "LearningRate",
    "Masking",
    "Objective",
    "Params",
    "Positive",
    "Pretrain",
    "Quality",
    "Recordings",
    "Resample",
    "Robustness",
    "Run",
    "Section",
    "Shard",
    "Share",
    "StudyCohorts",
    "Weights",
    "check_params",
    "load_params",
    "params_class",
]
