"""Verbs from saved predictions to the page: `evaluate`, `report`."""

from pathlib import Path

import typer

from physiopipe.cli.options import DEFAULT, FOR_THE_WORKFLOW, CohortName, ParamsFile, chosen_downstream, load

verbs = typer.Typer()


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def evaluate(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Compute metrics and Table 1 of a cohort from the saved predictions."""
    from physiopipe.results.evaluate import evaluate as evaluate_predictions
    from physiopipe.results.side_tables import share_of_the_attainable, write_side_tables

    loaded = load(params)
    known, results = chosen_downstream(cohort, loaded), Path("results") / cohort
    evaluate_predictions(known, results, loaded)
    for line in share_of_the_attainable(write_side_tables(known, results, loaded)):
        print(line)
    print(f"wrote {results}/metrics.json, {results}/table1.{{csv,md,tex}} and the tables beside it")


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def report(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Draw the figures of a cohort and write its report.html."""
    from physiopipe import plan
    from physiopipe.report.figures import make_figures
    from physiopipe.report.page import write_report

    loaded = load(params)
    known, results, windows = chosen_downstream(cohort, loaded), Path("results") / cohort, plan.DATA / "windows"
    make_figures(known, results, windows, loaded)
    write_report(known, results, windows, loaded, results / "report.html")
    print(f"wrote {results}/report.html")
