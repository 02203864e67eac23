"""The examples of the quality flags are drawn on the signal as it was recorded, where its file is still here."""

import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import wfdb
from verbs import run

from physiopipe import plan
from physiopipe.params import Params, check_params, load_params
from physiopipe.params.presets import preset_with
from physiopipe.params.writing import dump_params
from physiopipe.raw_recordings import raw_reader
from physiopipe.recordings.edf_writing import EdfChannel, edf_bytes
from physiopipe.recordings.recording import Recording
from physiopipe.recordings.tree import write_plan

PRESETS = Path(__file__).parents[1] / "presets"


def made(folder: Path, cohort: str, *assignments: str) -> Params:
    """The folder of a study that has simulated and discovered a cohort."""
    (folder / "params.yaml").write_text(dump_params(preset_with(PRESETS, "tiny", list(assignments))))
    for verb in ("simulate", "discover"):
        code, output = run(folder, verb, "--cohort", cohort)
        assert code == 0, output
    return load_params(folder / "params.yaml")


def test_a_record_of_a_tree_is_its_file_and_nothing_where_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = made(tmp_path, "challenge", "data.challenge.sources=[georgia]")
    monkeypatch.chdir(tmp_path)
    (batch,) = plan.planned_batches(params, "challenge")
    first, second = batch.records[:2]
    wanted = {first: batch.name, second: batch.name}
    read = raw_reader(params)
    assert read("challenge", "ecg", wanted) == {}  # not downloaded
    code, output = run(tmp_path, "download", "--tree", "challenge-simulated", "--batch", batch.name)
    assert code == 0, output
    found = read("challenge", "ecg", wanted)
    assert found.keys() == wanted.keys()
    for record, recording in found.items():
        raw = wfdb.rdrecord(str((plan.raw_folder(params, "challenge") / batch.first_files[record]).with_suffix("")))
        assert isinstance(recording, Recording)
        assert recording.rate_hz == raw.fs
        np.testing.assert_allclose(recording.signal, raw.p_signal.T, atol=1e-6)
    path = plan.raw_folder(params, "challenge") / batch.first_files[first].replace(".hea", ".mat")
    content = bytearray(path.read_bytes())
    path.unlink()  # it is a hard link of the simulated one
    content[-1] ^= 1
    path.write_bytes(content)
    assert set(read("challenge", "ecg", wanted)) == {second}
    shutil.rmtree("data/plan")
    capsys.readouterr()
    assert read("challenge", "ecg", wanted) == {}
    assert f"challenge, {batch.name}: the raw signal is not to be had: " in capsys.readouterr().out


def test_a_recording_in_two_files_is_here_while_all_its_files_are_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, random = tmp_path / "own", np.random.default_rng(0)
    own.mkdir()
    for number, channel in product("12", ("Cz", "II")):
        name = f"{'brain' if channel == 'Cz' else 'heart'}{number}.edf"
        channels = [EdfChannel(channel, "uV")]
        signal = random.normal(size=(1, 500))
        (own / name).write_bytes(edf_bytes(signal, 250, channels, "X X X X", "Startdate X X X X"))
    table = "eeg_file,ecg_file,subject,load\nbrain1.edf,heart1.edf,1,0\nbrain2.edf,heart2.edf,2,1\n"
    (own / "labels.csv").write_text(table)
    declared = {"tasks": ["load"], "eeg": ["Cz"], "ecg": ["II"], "eeg_rate_hz": 250, "ecg_rate_hz": 250}
    content = {"downstream": ["lab"], "own": {"lab": declared}}
    params = check_params({"cohorts": content, "data": {"lab": {"path": str(own)}}}, "test", with_methods=False)
    monkeypatch.chdir(tmp_path)
    [batch] = plan.discover_batches(params, "lab")
    write_plan(plan.plan_folder(params, "lab"), [batch])
    raw = plan.raw_folder(params, "lab")
    wanted = {f"{person}_c01_eeg": batch.name for person in (1, 2)}
    assert raw_reader(params)("lab", "eeg", wanted) == {}  # not brought here
    shutil.copytree(own, raw)
    assert raw_reader(params)("lab", "eeg", wanted).keys() == wanted.keys()
    heart = (raw / "heart1.edf").read_bytes()
    (raw / "heart1.edf").write_bytes(heart[:-1] + bytes([heart[-1] ^ 1]))
    assert set(raw_reader(params)("lab", "eeg", wanted)) == {"2_c01_eeg"}
    (raw / "labels.csv").write_text(table.replace("2,1", "2,0"))
    assert raw_reader(params)("lab", "eeg", wanted) == {}


def test_a_clip_of_one_file_is_what_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = made(tmp_path, "dreamer")
    monkeypatch.chdir(tmp_path)
    (batch,) = plan.planned_batches(params, "dreamer")
    stamp = plan.recordings_file(params, "dreamer", batch)
    code, output = run(tmp_path, "unpack", "--cohort", "dreamer", "--output", str(stamp))
    assert code == 0, output
    wanted = {"s02_c03_eeg": batch.name}
    (recording,) = raw_reader(params)("dreamer", "eeg", wanted).values()
    file = scipy.io.loadmat(plan.source_location(params, "dreamer"), simplify_cells=True)["DREAMER"]
    assert isinstance(recording, Recording)
    assert recording.record == "s02_c03_eeg"
    np.testing.assert_allclose(recording.signal, file["Data"][1]["EEG"]["stimuli"][2].T, rtol=1e-6)
    shutil.rmtree(stamp.parent)
    assert raw_reader(params)("dreamer", "eeg", wanted) == {}
