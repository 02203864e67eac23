"""The headline without people whose ECG shows no heartbeat is that of the others' predictions alone."""

from dataclasses import replace
from pathlib import Path

from made_up_predictions import TABLE, make_study, write_predictions_of_all

from physiopipe.experiments.predictions import read_predictions, write_predictions
from physiopipe.report.result_parts import without_beats
from physiopipe.results.evaluate import write_table1
from physiopipe.results.test_set import read_test_set
from physiopipe.results.without_beats import clips_of, without_beats_table

FLAGGED = [["s02", 3, 6, 6], ["s05", 1, 2, 6]]


def test_it_is_the_headline_of_the_other_people(tmp_path: Path) -> None:
    folder = write_predictions_of_all(tmp_path / "predictions", subjects=8, clips=6, without_beats=FLAGGED)
    study = replace(make_study(), latents=None)
    found = without_beats_table(folder, study, TABLE).set_index("method")
    for name in TABLE:
        frame, about = read_predictions(folder / f"{name}.parquet")
        others = frame[~frame["subject"].isin(["s02", "s05"])]
        write_predictions(tmp_path / "others" / "predictions" / f"{name}.parquet", others, about)
    for kind, results, subjects in (("", tmp_path, 8), ("without_", tmp_path / "others", 6)):
        table = write_table1(results, study, TABLE)
        rows = table[(table["label"] == "mean") & (table["metric"] == study.headline)].set_index("method")
        columns = [f"{end}_{kind}percent" for end in ("value", "low", "high")]
        expected = rows.loc[list(TABLE), ["value_percent", "low_percent", "high_percent"]]
        assert found[columns].to_numpy().tolist() == expected.to_numpy().tolist()
        assert set(found[f"subjects{'_without' * bool(kind)}"]) == {subjects}
    clips = clips_of(read_test_set(folder, study, TABLE))
    words = without_beats(found.reset_index(), clips)
    assert "s02 clip 3 (6 of 6 windows), s05 clip 1 (2 of 6 windows)" in words
    assert "Without these: 6" in words


def test_nothing_is_said_where_every_clip_shows_heartbeats(tmp_path: Path) -> None:
    folder = write_predictions_of_all(tmp_path / "predictions", subjects=4, clips=6)
    found = without_beats_table(folder, make_study(), TABLE)
    assert found.empty
    assert "no clip has any" in without_beats(found, [])
