"""Too many records that cannot be used stop a cohort, with the reasons by number; absent ones do not count as such."""

from pathlib import Path

import pytest
from made_parts import write_part
from verbs import run

from physiopipe import plan
from physiopipe.errors import PhysiopipeError
from physiopipe.params import Resample, load_params
from physiopipe.params.presets import preset_with
from physiopipe.params.writing import dump_params
from physiopipe.recordings.tree import Batch, check_records, write_plan
from physiopipe.windows.collect import collect_cohort
from physiopipe.windows.rejections import Rejections, check_share, count_rejections

PRESETS = Path(__file__).parents[2] / "presets"


def test_a_share_above_the_limit_stops_before_anything_is_written(tmp_path: Path) -> None:
    parts = [write_part(tmp_path / "1", 1, [1, 0, 0]), write_part(tmp_path / "2", 2, [1] * 5)]
    with pytest.raises(PhysiopipeError, match=r"max_rejected_share \(0\.2\).*\n.*2 of 8.*2 x gave no window \(b1r1\)"):
        collect_cohort("challenge", parts, tmp_path / "windows", {}, 0.2)
    assert not (tmp_path / "windows").exists()
    _, (counted,) = collect_cohort("challenge", parts, tmp_path / "windows", {}, 0.25)
    assert counted == Rejections("ecg", 6, 2, 0, ((2, "gave no window", "b1r1"),))


@pytest.mark.parametrize(
    ("usable", "unusable", "absent", "most", "stops"),
    [
        (3, 1, 0, 0.05, False),
        (3, 1, 0, 0.0, True),
        (3, 2, 0, 0.05, True),
        (38, 2, 90, 0.05, False),
        (37, 2, 90, 0.05, True),
    ],
)
def test_one_record_is_never_too_many_and_absent_ones_do_not_count(
    usable: int, unusable: int, absent: int, most: float, stops: bool
) -> None:
    counted = [Rejections("ecg", usable, unusable, absent, ())]
    if stops:
        with pytest.raises(PhysiopipeError, match=f"{unusable} of {usable + unusable} records"):
            check_share("challenge", counted, most)
    else:
        check_share("challenge", counted, most)


def test_reasons_of_one_kind_are_counted_together() -> None:
    rejected = [
        ("A1", "A1.mat holds 0 bytes, expected 9"),
        ("B2", "no unit"),
        ("C3", "C3.mat holds 7 bytes, expected 8"),
    ]
    counted = count_rejections("ecg", [{"records": 2, "rejected": 3, "absent": 1}], rejected)
    assert counted.reasons == ((2, "A1.mat holds 0 bytes, expected 9", "A1"), (1, "no unit", "B2"))
    assert (counted.unusable, counted.absent) == (2, 1)
    assert counted.in_words().startswith("ecg: 2 of 4 records rejected, 1 absent: 2 x A1.mat")


@pytest.mark.parametrize(
    ("sources", "missing"), [("[georgia]", "none"), ("[georgia, st_petersburg_incart]", "st_petersburg_incart")]
)
def test_collect_ends_with_rejections_and_missing_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: str, missing: str
) -> None:
    published = ["data.challenge.origin=published", f"data.challenge.base_url={tmp_path}"]
    few = [f"data.challenge.sources={sources}", "data.challenge.allow_missing_sources=true"]
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(dump_params(preset_with(PRESETS, "tiny", [*published, *few])))
    params = load_params(Path("params.yaml"))
    batch = Batch("b1", "georgia", (("training/georgia/g1/A.hea", "1" * 64),))
    write_plan(plan.plan_folder(params, "challenge"), [batch])
    (part,) = plan.planned_parts(params, "challenge")
    write_part(part.folder, 1, [1, 1, 0], digest=part.digest, inputs=plan.inputs_digest(batch))
    code, output = run(tmp_path, "collect", "--cohort", "challenge")
    assert code == 0, output
    told = f"ecg: 1 of 3 records rejected: 1 x gave no window (b1r2). missing sources: {missing}"
    assert output.splitlines()[-1] == f"challenge: {told}"


def test_a_name_in_two_batches_is_refused() -> None:
    one = Batch("georgia.g1", "georgia", (("training/georgia/g1/A.hea", "1"), ("training/georgia/g1/A.mat", "2")))
    other = Batch("ptb.g1", "ptb", (("training/ptb/g1/A.hea", "1"), ("training/ptb/g1/A.mat", "2")))
    check_records([one], "here")
    with pytest.raises(PhysiopipeError, match=r"here lists 1 record\(s\) twice, first 'A': .*georgia/g1/A.*ptb/g1/A"):
        check_records([one, other], "here")


def test_a_rate_is_named_once() -> None:
    with pytest.raises(ValueError, match="names a rate twice"):
        Resample(rates_hz=(100, 100))
