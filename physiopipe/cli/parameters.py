"""Verbs of the parameters: `preset`, `schema`, `cohorts`, `methods`."""

from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli.options import DEFAULT, FOR_YOU
from physiopipe.errors import PhysiopipeError

verbs = typer.Typer()


@verbs.command(rich_help_panel=FOR_YOU)
def preset(
    name: Annotated[str, typer.Argument(help="A preset: tiny, demo, open, paper …; or a file, mine.yaml.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.path=value; may be given several times.")] = None,
    force: Annotated[bool, typer.Option(help="Write over parameters that were edited by hand.")] = False,
    params: Annotated[Path, typer.Option("--params", help="The parameter file.")] = DEFAULT,
) -> None:
    """Write a complete parameter file from a preset, which holds what differs from the defaults."""
    from physiopipe.files import atomic_file
    from physiopipe.params.presets import edited_by_hand, preset_with
    from physiopipe.params.writing import dump_params
    from physiopipe.study_files import preset_folders

    chosen = preset_with(preset_folders(), name, set_ or [])
    if not force and (lost := edited_by_hand(params, preset_folders())):
        raise PhysiopipeError(
            f"{params} was edited by hand; {name} would write over: {', '.join(lost)}. Commit the file or keep a copy, "
            "then say `--force`."
        )
    with atomic_file(params) as temporary:
        temporary.write_text(dump_params(chosen), encoding="utf-8")
    print(f"wrote {params} from {name}; next: dvc repro")


@verbs.command(rich_help_panel=FOR_YOU)
def schema(output: Annotated[Path, typer.Option()] = Path("workflow/schemas/params.schema.json")) -> None:
    """Write the JSON schema of params.yaml, with the sections of every cohort and method."""
    from physiopipe.cohorts.registry import cohort, cohort_places
    from physiopipe.files import write_json
    from physiopipe.methods.registry import method_places
    from physiopipe.params import params_class

    names = tuple(cohort_places())
    downstream = tuple(name for name in names if cohort(name).tasks)
    write_json(output, params_class(names, downstream, tuple(method_places())).model_json_schema())


@verbs.command(rich_help_panel=FOR_YOU)
def cohorts() -> None:
    """List the cohorts that there are, with their licence and what they hold."""
    from physiopipe.cohorts.registry import cohort, cohort_places

    for name in cohort_places():
        known = cohort(name)
        held = ", ".join(f"{kind} ({len(one.channels)})" for kind, one in known.modalities.items())
        tasks = f"tasks {', '.join(known.task_names)}" if known.tasks else "for pretraining"
        print(f"{name}: {known.title}; {held}; {tasks}; licence {known.licence}; access {known.access}")


@verbs.command(rich_help_panel=FOR_YOU)
def methods() -> None:
    """List the methods that there are."""
    from physiopipe.methods.registry import method_class, method_places

    for name in method_places():
        known = method_class(name)
        print(f"{name}: {known.title}. {known.note}")
