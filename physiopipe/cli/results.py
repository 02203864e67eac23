"""Verbs from saved predictions to the page: `evaluate`, `report`."""

from pathlib import Path

import typer

from physiopipe.cli.options import DEFAULT, ParamsFile, load

verbs = typer.Typer()


@verbs.command()
def evaluate(params: ParamsFile = DEFAULT) -> None:
    """Compute metrics and Table 1 from the saved predictions."""
    from physiopipe.results.evaluate import evaluate as evaluate_predictions
    from physiopipe.results.side_tables import share_of_the_attainable, write_side_tables

    loaded, results = load(params), Path("results")
    evaluate_predictions(results / "predictions", loaded, results)
    for line in share_of_the_attainable(write_side_tables(results, loaded)):
        print(line)
    print("wrote results/metrics.json, results/table1.{csv,md,tex} and the tables beside it")


@verbs.command()
def report(params: ParamsFile = DEFAULT) -> None:
    """Draw the figures and write results/report.html."""
    from physiopipe import plan
    from physiopipe.report.figures import make_figures
    from physiopipe.report.page import write_report

    loaded = load(params)
    results, windows = Path("results"), plan.DATA / "windows"
    make_figures(results, windows, loaded)
    write_report(results, windows, loaded, results / "report.html")
    print("wrote results/report.html")
