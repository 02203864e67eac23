"""The part of Table 1 that says what each row cost."""

import pandas as pd

from physiopipe.results.costs import WALL_CLOCK, seconds_words
from physiopipe.results.layout import Block, Row, TableCell, marks

COST_WORDS = (
    "Cost: medians over seeds and folds. Training: seconds of a fit, stages without labels included; CPU time of all "
    "threads, or on the wall where a GPU is named. Shared: what a fit stands on that is computed once, without labels, "
    "for every fold (features, resampled windows, embeddings of frozen encoders); what comes before the study, such as "
    "pretraining an encoder on other recordings, is not in it. Seconds differ from run to run."
)


def cost_block(title: str, rows: pd.DataFrame, costs: pd.DataFrame, notes: list[str]) -> Block:
    """What each measured row cost; a dash where nothing was noted of it."""
    of = costs.set_index("title")
    made = []
    for each in dict.fromkeys(rows["title"]):
        cells = ["–"] * 4
        if each in of.index:
            one = of.loc[each]
            trained = "–" if pd.isna(one["trained_parameters"]) else f"{int(one['trained_parameters']):,}"
            on_wall = " (wall)" if one["clock"] == WALL_CLOCK else ""
            fit, kept = (seconds_words(float(one[name])) for name in ("fit_s", "kept_s"))
            shared = "none" if one["kept_s"] == 0 else f"{kept}{on_wall}"
            cells = [trained, f"{fit}{on_wall}", shared, str(one["device"])]
        made.append(Row(each, marks(rows, each, notes), tuple(map(TableCell, cells))))
    heads = ("Trained parameters", "Training, s", "Shared, s", "On")
    return Block(title, tuple((head, ("",)) for head in heads), tuple(made))
