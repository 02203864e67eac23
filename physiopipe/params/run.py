"""`run`: what changes speed and not results."""

from typing import Annotated, Literal

from pydantic import Field

from physiopipe.params.section import Count, Positive, Section


class Run(Section):
    """What changes speed and not results; no rule or stage depends on it."""

    connections: Annotated[int, Field(ge=1, le=8)] = Field(8, description="connections to a server, all jobs together")
    timeout_s: Positive = Field(60.0, description="a server that is silent for this long is tried again")
    retries: int = Field(5, ge=0, description="tries after the first, with growing waits")
    threads: int = Field(0, ge=0, description="threads of torch, most processes for folds; 0: one per core")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where training runs")
    devices: Count | Literal["auto"] = Field(
        "auto", description="processes of pretraining, one a device; auto: all GPUs of this machine, or one CPU process"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="compile the encoder's layer for pretraining (a minute at the start); auto: on a GPU"
    )
    state_folder: str = Field("state", description="where an interrupted training keeps its state")
    log_folder: str = Field("logs/pretrain", description="curves while pretraining runs, for TensorBoard; empty: none")
