"""The plan of a published tree: what is a batch, what is refused, and that a plan survives being kept."""

import hashlib
import os
from pathlib import Path

import pytest
from faulty_server import cut_at, serve
from hypothesis import given
from hypothesis import strategies as st

from physiopipe.cohorts.challenge import SOURCES, ChallengeData, SimulateChallenge
from physiopipe.cohorts.challenge_simulation import simulate_challenge
from physiopipe.cohorts.challenge_tree import MAX_BATCH_BYTES, plan_batches
from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.errors import PhysiopipeError
from physiopipe.params import Run
from physiopipe.recordings import http_tree
from physiopipe.recordings.transport import check_relative
from physiopipe.recordings.tree import Batch, open_tree, read_plan, read_planned_batch, write_plan

RUN = Run(timeout_s=0.3, retries=2)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree") / "challenge"
    simulate_challenge(root / "SHA256SUMS.txt", SimulateChallenge(records_per_source=2, max_length_s=10, seed=1))
    return root


def write_lists(root: Path, folders: dict[str, list[str]]) -> Path:
    """RECORDS of a tree and of its folders, and sums of files that need not exist to be planned."""
    root.mkdir(parents=True, exist_ok=True)
    sums = []
    for folder, names in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "RECORDS").write_text("".join(f"{name}\n" for name in names))
        sums += [
            f"{hashlib.sha256(f.encode()).hexdigest()}  {folder}/{f}\n" for n in names for f in (f"{n}.hea", f"{n}.mat")
        ]
    (root / "RECORDS").write_text("".join(f"{folder}/\n" for folder in folders))
    (root / "SHA256SUMS.txt").write_text("".join(sums))
    return root


def plan(root: Path | str, **data: object) -> list[Batch]:
    return plan_batches(open_tree(str(root), RUN), ChallengeData.model_validate({"sources": ["georgia"], **data}))


def test_a_simulated_tree_gives_a_batch_for_each_folder_with_every_files_checksum(simulated: Path) -> None:
    batches = plan(simulated, sources=SOURCES)
    assert [batch.name for batch in batches] == [f"{source}.g1" for source in SOURCES]
    for batch in batches:
        folder = f"training/{batch.source}/g1"
        assert list(batch.records) == (simulated / folder / "RECORDS").read_text().split()
        assert batch.first_files == {record: f"{folder}/{record}.hea" for record in batch.records}
        assert [path for path, _ in batch.files] == [
            f"{folder}/{record}.{suffix}" for record in batch.records for suffix in ("hea", "mat")
        ]
        for path, sha256 in batch.files:
            assert hashlib.sha256((simulated / path).read_bytes()).hexdigest() == sha256


def test_a_server_and_a_folder_give_the_same_plan(simulated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(http_tree, "FIRST_WAIT_S", 0.02)
    with serve(simulated) as server:
        server.faults["SHA256SUMS.txt"] = [cut_at(1000), cut_at(1000)]
        assert plan(f"{server.url}/", sources=SOURCES) == plan(simulated, sources=SOURCES)
        assert server.requests["SHA256SUMS.txt"] > 1


@pytest.mark.sample
def test_the_real_sample_is_planned_whole() -> None:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    root = Path(sample) / "challenge-2021" / "1.0.3"
    batches = plan(root, sources=SOURCES, allow_missing_sources=True)
    assert sum(len(batch.records) for batch in batches) == 166
    assert all(sha256 for batch in batches for _, sha256 in batch.files)
    with pytest.raises(PhysiopipeError, match="no folder of st_petersburg_incart"):
        plan(root, sources=SOURCES)


def test_the_order_is_that_of_the_parameters_then_the_published_one(tmp_path: Path) -> None:
    root = write_lists(
        tmp_path,
        {"training/georgia/g2": ["E3"], "training/ptb-xl/g1": ["H1"], "training/georgia/g1": ["E2", "E1", "E2"]},
    )
    batches = plan(root, sources=["ptb-xl", "georgia"])
    assert [batch.name for batch in batches] == ["ptb-xl.g1", "georgia.g2-g1"]
    assert batches[1].records == ("E3", "E2", "E1")


def test_one_sources_name_does_not_match_anothers_that_begins_alike(tmp_path: Path) -> None:
    root = write_lists(tmp_path, {"training/cpsc_2018_extra/g1": ["Q1"], "training/cpsc_2018/g1": ["A1"]})
    assert [batch.name for batch in plan(root, sources=["cpsc_2018"])] == ["cpsc_2018.g1"]


@pytest.mark.parametrize(
    ("most", "expected"), [(1, ["E1"]), (2, ["E1", "E2"]), (3, ["E1", "E2", "E3"]), (9, ["E1", "E2", "E3"])]
)
def test_records_per_source_are_the_first_published(tmp_path: Path, most: int, expected: list[str]) -> None:
    root = write_lists(tmp_path, {"training/georgia/g1": ["E1", "E2"], "training/georgia/g2": ["E3"]})
    batches = plan(root, max_records_per_source=most)
    assert [record for batch in batches for record in batch.records] == expected
    assert all(batch.records for batch in batches)


def test_a_folder_of_too_much_is_shared_out_evenly(tmp_path: Path) -> None:
    names = {"st_petersburg_incart": 74, "georgia": 1000}
    folders = {f"training/{source}/g1": [f"r{n:04d}" for n in range(count)] for source, count in names.items()}
    root = write_lists(tmp_path, folders)
    batches = plan(root, sources=["georgia"]) + plan(root, sources=["st_petersburg_incart"])
    assert (batches[0].name, len(batches[0].records)) == ("georgia.g1", 1000)
    shares = batches[1:]
    assert len(shares) > 1
    assert [batch.name for batch in shares] == [f"st_petersburg_incart.g1.{n}" for n in range(1, len(shares) + 1)]
    assert max(len(batch.records) for batch in shares) - min(len(batch.records) for batch in shares) <= 1
    for batch in batches:
        assert len(batch.records) * SOURCE_INFO[batch.source].bytes_per_record <= MAX_BATCH_BYTES
    assert [name for batch in shares for name in batch.records] == folders["training/st_petersburg_incart/g1"]
    assert sum((batch.files for batch in shares), ()) == tuple(
        (f"training/st_petersburg_incart/g1/{name}.{suffix}", hashlib.sha256(f"{name}.{suffix}".encode()).hexdigest())
        for name in folders["training/st_petersburg_incart/g1"]
        for suffix in ("hea", "mat")
    )


def test_neighbouring_folders_are_joined_as_far_as_a_job_can_take_them(tmp_path: Path) -> None:
    sizes = {"g1": 1000, "g2": 999, "g3": 1000, "g4": 1001, "g5": 0, "g6": 3, "g7": 1}
    names = iter(f"E{number:05d}" for number in range(9999))
    folders = {f"training/georgia/{folder}": [next(names) for _ in range(size)] for folder, size in sizes.items()}
    batches = plan(write_lists(tmp_path, folders))
    assert [(batch.name, len(batch.records)) for batch in batches] == [
        ("georgia.g1-g2", 1999),
        ("georgia.g3", 1000),
        ("georgia.g4-g7", 1005),
    ]
    everything = [(record, f"{folder}/{record}.hea") for folder, records in folders.items() for record in records]
    assert [item for batch in batches for item in batch.first_files.items()] == everything
    for batch in batches:
        assert len(batch.records) * SOURCE_INFO["georgia"].bytes_per_record <= MAX_BATCH_BYTES


def test_folders_that_share_a_records_name_are_not_joined(tmp_path: Path) -> None:
    root = write_lists(tmp_path, {"training/georgia/g1": ["E1", "E2"], "training/georgia/g2": ["E3", "E1"]})
    assert [(batch.name, batch.records) for batch in plan(root)] == [
        ("georgia.g1", ("E1", "E2")),
        ("georgia.g2", ("E3", "E1")),
    ]


def test_a_missing_source_is_an_error_unless_allowed(tmp_path: Path) -> None:
    root = write_lists(tmp_path, {"training/georgia/g1": ["E1"]})
    with pytest.raises(PhysiopipeError, match=r"no folder of ptb, ningbo: .*allow_missing_sources"):
        plan(root, sources=["ptb", "georgia", "ningbo"])
    batches = plan(root, sources=["ptb", "georgia", "ningbo"], allow_missing_sources=True)
    assert [batch.source for batch in batches] == ["georgia"]
    with pytest.raises(PhysiopipeError, match="nothing to do"):
        plan(root, sources=["ptb"], allow_missing_sources=True)


@pytest.mark.parametrize("folder", ["training/georgia/../../up", "/training/georgia/g1", "training//georgia", "../g1"])
def test_a_folder_that_climbs_out_is_refused(tmp_path: Path, folder: str) -> None:
    root = write_lists(tmp_path / "tree", {"training/georgia/g1": ["E1"]})
    (root / "RECORDS").write_text(f"training/georgia/g1/\n{folder}\n")
    with pytest.raises(PhysiopipeError, match="refused"):
        plan(root)


@pytest.mark.parametrize(
    "record", ["../../../etc/passwd", "/etc/passwd", "..", "a/b", "a\\b", "a\0b", "E1 E2", "~", "*"]
)
def test_a_record_that_climbs_out_is_refused(tmp_path: Path, record: str) -> None:
    root = write_lists(tmp_path / "tree", {"training/georgia/g1": ["E1"]})
    (root / "training/georgia/g1/RECORDS").write_text(f"E1\n{record}\n")
    with pytest.raises(PhysiopipeError, match=r"refused|without folders"):
        plan(root)


@pytest.mark.parametrize("path", ["a" * 140_000, "a/" * 70_000 + "a", "\x1b[2J" * 1000])
def test_a_path_that_is_too_long_is_refused_in_short(path: str) -> None:
    with pytest.raises(PhysiopipeError, match="refused") as error:
        check_relative(path, "RECORDS")
    assert len(str(error.value)) < 500


@given(st.text(alphabet="ab./\\~ \0é-", max_size=12))
def test_what_passes_as_a_relative_path_stays_below_its_folder(path: str) -> None:
    try:
        check_relative(path, "a list")
    except PhysiopipeError:
        return
    below = os.path.normpath(os.path.join("/root/folder", path))  # noqa: PTH118
    assert below == f"/root/folder/{path}"


def test_a_record_without_checksum_is_planned_with_an_empty_one(tmp_path: Path) -> None:
    root = write_lists(tmp_path, {"training/georgia/g1": ["E1"]})
    (root / "SHA256SUMS.txt").write_text("")
    assert plan(root)[0].files == (("training/georgia/g1/E1.hea", ""), ("training/georgia/g1/E1.mat", ""))


def test_a_list_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    root = write_lists(tmp_path, {"training/georgia/g1": ["E1"]})
    with (root / "SHA256SUMS.txt").open("a") as sums:
        sums.write(f"{'0' * 64} training/georgia/g1/RECORDS\n")
    with pytest.raises(PhysiopipeError, match=r"g1/RECORDS is not the published list: expected sha256 0+, found"):
        plan(root)


@pytest.mark.parametrize("missing", ["RECORDS", "SHA256SUMS.txt", "training/georgia/g1/RECORDS"])
def test_a_tree_without_its_lists_is_named(tmp_path: Path, missing: str) -> None:
    root = write_lists(tmp_path, {"training/georgia/g1": ["E1"]})
    (root / missing).unlink()
    with pytest.raises(PhysiopipeError, match=f"{missing} is not there"):
        plan(root)


def test_sums_that_are_something_else_are_named_with_their_line(tmp_path: Path) -> None:
    root = write_lists(tmp_path, {"training/georgia/g1": ["E1"]})
    with (root / "SHA256SUMS.txt").open("a") as sums:
        sums.write("<html>sign in</html>\n")
    with pytest.raises(PhysiopipeError, match="line 3: expected `sha256 path`, found '<html>sign in</html>'"):
        plan(root)


@pytest.mark.parametrize(
    "url", ["ftp://host/tree", "s3//", "s3://", "s3://UPPER/x", "http://", "/no/such/folder", "gopher://x"]
)
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(PhysiopipeError, match=r"base_url is"):
        open_tree(url, RUN)


def test_a_public_bucket_is_read_over_https_or_where_the_endpoint_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    tree = open_tree("s3://physionet-open/challenge-2021/1.0.3/", RUN)
    assert tree.base_url == "https://physionet-open.s3.amazonaws.com/challenge-2021/1.0.3"
    write_lists(tmp_path / "bucket" / "a" / "b", {"training/georgia/g1": ["E1"]})
    with serve(tmp_path) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        assert [batch.records for batch in plan("s3://bucket/a/b")] == [("E1",)]


def test_a_plan_survives_being_kept(tmp_path: Path, simulated: Path) -> None:
    batches = plan(simulated, sources=SOURCES)
    write_plan(tmp_path, batches)
    assert read_plan(tmp_path) == batches
    assert read_planned_batch(tmp_path, "ptb.g1") == next(batch for batch in batches if batch.name == "ptb.g1")
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_plan(tmp_path, batches)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
    write_plan(tmp_path, batches[:2])
    assert {path.name for path in tmp_path.iterdir()} == {"batches.csv", "chapman_shaoxing.g1.csv", "cpsc_2018.g1.csv"}


def test_a_plan_may_name_one_file_without_records(tmp_path: Path) -> None:
    batch = Batch("dreamer", "dreamer", (("DREAMER.mat", "0" * 64),))
    write_plan(tmp_path, [batch])
    assert read_plan(tmp_path) == [batch]


def test_a_plan_that_is_missing_or_broken_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(PhysiopipeError, match=r"batches\.csv is missing: run `discover`"):
        read_plan(tmp_path)
    batch = Batch("georgia.g1", "georgia", (("a.hea", "0" * 64), ("a.mat", "0" * 64)))
    write_plan(tmp_path, [batch])
    with pytest.raises(PhysiopipeError, match=r"no batch 'ptb\.g1'; it has georgia\.g1"):
        read_planned_batch(tmp_path, "ptb.g1")
    whole = (tmp_path / "georgia.g1.csv").read_text()
    (tmp_path / "georgia.g1.csv").write_text(whole.splitlines(True)[0])
    with pytest.raises(PhysiopipeError, match="names 0 files, expected 2"):
        read_plan(tmp_path)
    (tmp_path / "georgia.g1.csv").write_text("something,else\n1,2\n")
    with pytest.raises(PhysiopipeError, match="columns path, sha256"):
        read_plan(tmp_path)


def test_each_source_may_have_its_own_most_records(tmp_path: Path) -> None:
    names = ["r1", "r2", "r3"]
    root = write_lists(tmp_path, {"training/georgia/g1": names, "training/ptb/g1": [f"p{n}" for n in range(3)]})
    batches = plan(root, sources=["georgia", "ptb"], max_records_per_source={"default": 2, "ptb": 1})
    taken = {source: sum(len(b.records) for b in batches if b.source == source) for source in ("georgia", "ptb")}
    assert taken == {"georgia": 2, "ptb": 1}
    with pytest.raises(ValueError, match="names no source with ptbb"):
        ChallengeData(max_records_per_source={"ptbb": 1})
