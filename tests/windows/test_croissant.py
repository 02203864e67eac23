"""Croissant metadata of stored windows: MLCommons' own library accepts it and reads the index through it."""

from pathlib import Path

import pytest
from made_cohort import store_challenge, store_cohort

from physiopipe.files import read_json
from physiopipe.windows.croissant import write_croissant
from physiopipe.windows.store import WindowStore


@pytest.mark.slow  # the library's import alone takes seconds
@pytest.mark.parametrize("cohort", ["challenge", "dreamer"])
def test_the_library_reads_the_index_through_it(tmp_path: Path, make_clips, cohort: str) -> None:
    import mlcroissant

    made = make_clips(subjects=2, clips=2, windows=2, patches=2)
    root = store_challenge(tmp_path).parent if cohort == "challenge" else store_cohort(tmp_path, made)
    path = write_croissant(root / cohort)
    dataset = mlcroissant.Dataset(jsonld=str(path))
    assert not dataset.metadata.issues.errors
    rows = list(dataset.records("window"))
    index = WindowStore(root / cohort).index
    assert len(rows) == len(index)
    for name in ("start_s", "row", "valid_patches"):
        assert [row[f"window/{name}"] for row in rows] == index[name].tolist()
    assert [row["window/record"].decode() for row in rows] == index["record"].astype(str).tolist()


def test_it_says_what_is_simulated_and_nothing_of_this_machine(tmp_path: Path, make_clips) -> None:
    made = make_clips(subjects=2, clips=2, windows=2, patches=2)
    found = {}
    for simulated in (True, False):
        root = store_cohort(tmp_path / str(simulated), made, simulated=simulated)
        path = write_croissant(root / "dreamer")
        assert str(tmp_path) not in path.read_text()
        found[simulated] = read_json(path)
    assert found[True]["description"].startswith("SIMULATED")
    assert found[True]["name"] == "dreamer-windows-simulated"
    assert "SIMULATED" not in found[False]["description"]
    assert found[False]["url"] == "https://doi.org/10.1109/JBHI.2017.2688239"
    stores = [name for each in found[False]["distribution"] for name in each.get("includes", [])]
    assert stores == ["dreamer/ecg-200hz/part-dreamer.ecg.zarr/**", "dreamer/eeg-200hz/part-dreamer.eeg.zarr/**"]
