"""What determines a part's bytes, and the digest that names it. Light imports: the Snakefile loads this module."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_json
from physiopipe.signals.processing import PROCESSING_VERSION

STEPS = ("filter", "resample", "shard")
LOCATIONS = ("base_url", "path")  # keys of `data` that say where recordings lie, and nothing of what they are


def part_digest(
    parameters: Mapping[str, Any],
    *,
    name: str,
    modality: str,
    inputs: str,
    simulated: bool,
    processing_version: int = PROCESSING_VERSION,
) -> str:
    """Digest of everything that determines a part's bytes: inputs, parameters and the code's own version.

    Args:
        parameters: the cohort's sections of parameters (`physiopipe.plan.cohort_parameters`).
        name: of the cohort.
        inputs: digest of the batch's files (`physiopipe.plan.inputs_digest`).
    """
    content: dict[str, Any] = {step: parameters[step][modality] for step in STEPS}
    content["inputs"] = inputs
    content["cohort"], content["modality"] = name, modality
    content["simulated"] = simulated
    content["processing_version"] = processing_version
    content["reading"] = {key: parameters["data"][key] for key in cohort(name).reading}
    return sha256_json(content)[:24]


def source_digest(inputs: Mapping[str, str]) -> str:
    """Digest of all recordings of a cohort, from those of its batches: equal wherever the same files lie."""
    return sha256_json(dict(inputs))


def check_identity(manifest: Mapping[str, Any], where: Path) -> None:
    """Refuse a manifest whose parts were made from other inputs or parameters than it states.

    A manifest that states no parameters (a made-up cohort) is not judged.

    Raises:
        PhysiopipeError: naming the first such part.
    """
    parameters = manifest.get("parameters")
    if not parameters:
        return
    inputs = {part["batch"]: part["inputs"] for part in manifest["parts"]}
    for part in manifest["parts"]:
        digest = part_digest(
            parameters,
            name=manifest["cohort"],
            modality=part["modality"],
            inputs=part["inputs"],
            simulated=part["simulated"],
            processing_version=manifest["processing_version"],
        )
        if digest != part["digest"] or inputs[part["batch"]] != part["inputs"]:
            raise PhysiopipeError(
                f"{where}: its part {part['batch']} of {part['modality']} was made from other recordings or parameters "
                f"than it states (found digest {part['digest']}, expected {digest}). Delete {where.parent} and run "
                "`snakemake --cores 2` or `dvc repro` again."
            )
    if manifest["source_sha256"] != source_digest(inputs) or manifest["parameters_sha256"] != sha256_json(parameters):
        raise PhysiopipeError(
            f"{where} does not state the recordings or parameters of its own parts: it was changed after it was "
            f"written. Delete {where.parent} and run `snakemake --cores 2` or `dvc repro` again."
        )
