"""params.yaml as one model."""

from pydantic import Field

from physiopipe.params.data import Data, Simulate
from physiopipe.params.preparation import FilterSection, ResampleSection, ShardSection
from physiopipe.params.run import Run
from physiopipe.params.section import Section
from physiopipe.params.study import FUSIONS, METHODS, Ablations, Evaluate, MethodName, Robustness
from physiopipe.params.training import Finetune, Pretrain


class Params(Section):
    """The whole of params.yaml."""

    data: Data = Data()
    simulate: Simulate = Simulate()
    filter: FilterSection = FilterSection()
    resample: ResampleSection = ResampleSection()
    shard: ShardSection = ShardSection()
    pretrain: Pretrain = Pretrain()
    methods: tuple[MethodName, ...] = Field(
        METHODS, min_length=1, description="measured rows, in this order; other fusions go to a table of their own"
    )
    finetune: Finetune = Finetune()
    evaluate: Evaluate = Evaluate()
    ablations: Ablations = Ablations()
    robustness: Robustness = Robustness()
    run: Run = Run()

    @property
    def table_methods(self) -> tuple[MethodName, ...]:
        """Methods that are rows of Table 1: all but the fusions that the paper did not use."""
        return tuple(name for name in self.methods if name not in FUSIONS) or self.methods

    @property
    def simulated(self) -> bool:
        """Whether the cohort that the table is computed on is simulated."""
        return self.data.dreamer.origin == "simulated"
