"""Verbs of the parameters: `preset`, `schema`."""

from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli.options import DEFAULT, ParamsFile

verbs = typer.Typer()


@verbs.command()
def preset(
    name: Annotated[str, typer.Argument(help="tiny, demo, sample, study or paper")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, repeatable")] = None,
    params: ParamsFile = DEFAULT,
) -> None:
    """Write a complete parameter file from presets/NAME.yaml."""
    from physiopipe.files import atomic_file
    from physiopipe.params.presets import preset_with
    from physiopipe.params.writing import dump_params

    chosen = preset_with(Path("presets"), name, set_ or [])
    with atomic_file(params) as temporary:
        temporary.write_text(dump_params(chosen), encoding="utf-8")
    print(f"wrote {params} from presets/{name}.yaml; next: dvc repro")


@verbs.command()
def schema(output: Annotated[Path, typer.Option()] = Path("workflow/schemas/params.schema.json")) -> None:
    """Write the JSON schema of params.yaml."""
    from physiopipe.files import write_json
    from physiopipe.params import Params

    write_json(output, Params.model_json_schema())
