"""What fitting a fold cost: seconds, told apart, and trained parameters, on which device."""

import math
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from physiopipe import cpu_time
from physiopipe.files import atomic_file
from physiopipe.methods.base import Method

COST_COLUMNS = (
    "method", "protocol", "seed", "fold", "trained_parameters", "fit_cpu_s", "fit_wall_s", "kept_cpu_s", "kept_wall_s",
    "processor", "device",
)  # fmt: skip
_DECIMALS = 3


def fit_cost(method: Method, fit: cpu_time.Account, before: cpu_time.Account) -> dict[str, Any]:
    """The cost of one fit, as JSON values; null where it is not known.

    `fit_*` is the fit itself, stages without labels included, `kept_*` what it stands on that is computed without
    labels once and kept for every fold: windows at another rate, features, embeddings. A fold made alone, with nothing
    kept, costs the sum.

    Args:
        method: as it is after the fit.
        fit: what was spent meanwhile.
        before: what was spent on all clips before any fold.
    """
    processor, device = device_of(method)
    own, kept = fit.own, cpu_time.total(before.kept | fit.kept)
    return {
        "trained_parameters": method.trained_parameters,
        "fit_cpu_s": _rounded(own.cpu),
        "fit_wall_s": _rounded(own.wall),
        "kept_cpu_s": _rounded(kept.cpu),
        "kept_wall_s": _rounded(kept.wall),
        "processor": processor,
        "device": device,
    }


def device_of(method: Method) -> tuple[str, str]:
    """`CPU` or `GPU`, and its name: of where the method is fitted."""
    if method.fingerprint().get("device") == "cuda":
        import torch

        if torch.cuda.is_available():
            return "GPU", torch.cuda.get_device_name()
    return "CPU", _cpu()


def write_costs(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write COST_COLUMNS as CSV, a row a fit; what is not known is empty."""
    frame = pd.DataFrame(rows, columns=list(COST_COLUMNS)).astype({"trained_parameters": "Int64"})
    with atomic_file(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def _cpu() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _rounded(seconds: float) -> float | None:
    return round(seconds, _DECIMALS) if math.isfinite(seconds) else None
