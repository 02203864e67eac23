"""`embed` against the pipeline's own windows, on every format that is read, and on what cannot be."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from own_study import SIZES, samples_root, write_encoder
from prepared import store_tree
from recordings_made import beats, write_brainvision, write_edf, write_wfdb
from typer.testing import CliRunner

from physiopipe import load_encoder, read_recording, windows_of
from physiopipe.cli import app
from physiopipe.cohorts.base import imported
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.models.fusion import embed
from physiopipe.models.normalisation import normalised, valid_patch_mask
from physiopipe.own_recordings.embed import embed_recordings
from physiopipe.params import check_params
from physiopipe.recordings.recording import HeldSignal, LongRecording, Recording, RejectedRecord
from physiopipe.signals import pieces
from physiopipe.signals.leads import CLINICAL_LEADS
from physiopipe.windows.store import WindowStore

PHYSIOPIPE = str(Path(sys.executable).parent / "physiopipe")
FEATURES = [f"f{number:03d}" for number in range(SIZES.width)]


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run([PHYSIOPIPE, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def embedded(folder: Path, encoder: Path, **changes: float | int | dict[str, str]) -> pd.DataFrame:
    out = folder.parent / "out" / "embeddings.parquet"
    embed_recordings(folder, load_encoder(encoder), out, **changes)  # type: ignore[arg-type]
    return pd.read_parquet(out)


def refused(out: Path) -> dict[str, str]:
    with out.open(encoding="utf-8", newline="") as handle:
        return {row["record"]: row["reason"] for row in csv.DictReader(handle)}


@pytest.mark.parametrize("rate_hz", [200, 500])
def test_features_are_those_of_the_stored_windows(tmp_path: Path, encoder_file: Path, rate_hz: int) -> None:
    """The oracle: simulated training records through the pipeline, its stored windows through the encoder."""
    tree = tmp_path / "tree"
    content = {
        "data": {"challenge": {"origin": "simulated", "base_url": str(tree), "sources": ["ptb"]}},
        "simulate": {"challenge": {"records_per_source": 4, "max_length_s": 40.0}},
        "resample": {"challenge": {"ecg": {"rates_hz": [rate_hz]}}},
        "shard": {"challenge": {"ecg": {"max_windows_per_record": None}}},
    }
    params = check_params(content, "oracle", with_methods=False)
    imported(cohort("challenge").simulator)(tree / "SHA256SUMS.txt", params.simulate["challenge"])
    store = WindowStore(store_tree(tmp_path / "made", "challenge", params))
    rows = store.rows("ecg", (rate_hz,))
    counts, scale, valid = (torch.from_numpy(array) for array in store.gather(rows))
    index = store.index.iloc[rows].reset_index(drop=True)
    present = torch.from_numpy((index["channel_mask"].to_numpy(np.int64)[:, None] >> np.arange(12)) & 1 == 1)
    mask = valid_patch_mask(present, valid, 10)
    model = load_encoder(encoder_file).model
    with torch.inference_mode():
        expected = embed(model, normalised(counts, scale, mask, "lead_zscore"), mask, "channels_and_patches").numpy()
    found = embedded(tree / "training" / "ptb", encoder_file, rate_hz=rate_hz)
    assert len(found) > 4
    assert found["record"].str.rpartition("/")[2].tolist() == index["record"].astype(str).tolist()
    np.testing.assert_allclose(found["start_s"], index["start_s"], atol=1e-9)
    np.testing.assert_allclose(found[FEATURES], expected, atol=1e-5)
    for flag in ("missing", "flat", "clipping", "amplitude", "wander", "mains", "no_beats"):
        assert [flag in raised.split() for raised in found["flags"]] == index[flag].tolist()


def test_formats_agree_and_the_mean_of_a_record_is_of_its_windows(tmp_path: Path, encoder_file: Path) -> None:
    """One ECG in WFDB 16 and 212, EDF and BrainVision, in mV and µV, at 250 Hz."""
    folder, ecg = tmp_path / "all", beats(30, 250)
    write_wfdb(folder, "plain", ecg, 250)
    write_wfdb(folder, "packed", ecg, 250, form="212")
    write_edf(folder / "edf.edf", 1000 * ecg, 250, tuple(f"ECG {lead}" for lead in CLINICAL_LEADS), "uV")
    write_brainvision(folder / "brain.vhdr", 1000 * ecg, 250, CLINICAL_LEADS)
    found = embedded(folder, encoder_file)
    assert found.groupby("record").size().to_dict() == {"brain": 3, "edf": 3, "packed": 3, "plain": 3}
    plain = found[found["record"] == "plain"]
    for name, allowed in (("edf", 0.02), ("brain", 0.02), ("packed", 0.2)):  # 212 has 5 µV a unit, and 12 bits
        other = found[found["record"] == name]
        assert np.abs(other[FEATURES].to_numpy() - plain[FEATURES].to_numpy()).max() < allowed, name
    assert set(found["leads"]) == {" ".join(CLINICAL_LEADS)}
    records = pd.read_parquet(tmp_path / "out" / "embeddings.records.parquet").set_index("record")
    np.testing.assert_allclose(records.loc["plain", FEATURES].astype(float), plain[FEATURES].mean(), atol=1e-6)
    assert records.loc["plain", ["seconds", "recorded_hz", "windows"]].tolist() == [30.0, 250.0, 3]


@pytest.mark.parametrize("rate_hz", [257, 500, 1000])
def test_any_leads_at_any_rate(tmp_path: Path, encoder_file: Path, rate_hz: int) -> None:
    folder = tmp_path / "leads"
    ecg = beats(12, rate_hz)
    write_wfdb(folder / "a", "one", ecg[1:2], rate_hz, ("MLII",))
    write_wfdb(folder / "a", "two", ecg[:2], rate_hz, ("I", "II"))
    write_edf(folder / "b" / "unnamed.edf", ecg[1:2], rate_hz, ("ECG",))
    found = embedded(folder, encoder_file).set_index("record")
    assert found.loc["a/one", "leads"] == "II"
    assert found.loc["a/two", "leads"] == "I II III aVR aVL aVF"
    assert found.loc["b/unnamed", "leads"] == "ECG"
    named = embedded(folder / "b", encoder_file, named={"II": "ECG"})
    one = found.loc[["a/one"], FEATURES].to_numpy()
    np.testing.assert_allclose(named[FEATURES].to_numpy(), one, atol=0.02)
    assert np.isfinite(found[FEATURES].to_numpy()).all()


def test_ecg_beside_eeg_is_found_by_its_name_or_its_type(tmp_path: Path, encoder_file: Path) -> None:
    eeg, ecg = 20 * np.random.default_rng(0).normal(size=(3, 5000)), 1000 * beats(20, 250)[1:2]
    both = np.concatenate([eeg, ecg])
    write_edf(tmp_path / "x" / "named.edf", both, 250, ("EEG C3", "EEG C4", "EEG Cz", "ECG II"), "uV")
    folder = tmp_path / "x" / "bids"
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text("{}")
    path = folder / "sub-01" / "ses-a" / "eeg" / "sub-01_ses-a_task-rest_eeg.edf"
    write_edf(path, both, 250, ("C3", "C4", "Cz", "II"), "")
    table = "name\ttype\tunits\nC3\tEEG\tµV\nC4\tEEG\tµV\nCz\tEEG\tµV\nII\tECG\tµV\n"
    path.with_name("sub-01_ses-a_task-rest_channels.tsv").write_text(table, encoding="utf-8")
    write_edf(folder / "derivatives" / "sub-01_eeg.edf", both, 250, ("C3", "C4", "Cz", "II"), "uV")
    found = embedded(folder, encoder_file)
    assert set(found["record"]) == {"sub-01/ses-a/eeg/sub-01_ses-a_task-rest_eeg"}
    assert set(found["leads"]) == {"II"}
    other = embedded(tmp_path / "x" / "named.edf", encoder_file)
    np.testing.assert_allclose(found[FEATURES], other[FEATURES], atol=1e-3)


def test_what_cannot_be_read_is_named_with_its_reason(
    tmp_path: Path, encoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ecg = tmp_path / "mixed", beats(12, 250)
    write_wfdb(folder, "good", ecg, 250)
    write_edf(folder / "cut.edf", ecg, 250, CLINICAL_LEADS)
    (folder / "cut.edf").write_bytes((folder / "cut.edf").read_bytes()[:-100])
    write_edf(folder / "no_ecg.edf", 20 * ecg[:2], 250, ("EEG C3", "EEG Cz"), "uV")
    write_edf(folder / "scalp.edf", 20 * ecg[:2], 250, ("C3", "Cz"), "uV")
    write_edf(folder / "twice.edf", ecg[:2], 250, ("ECG II", "ECG MLII"))
    write_edf(folder / "unit.edf", ecg[:1], 250, ("ECG II",), "bpm")
    write_edf(folder / "which.edf", ecg[:2], 250, ("ECG1", "ECG2"))
    write_edf(folder / "short.edf", ecg[:1, :500], 250, ("ECG II",))
    (folder / "text.edf").write_text("not a recording")
    (folder / "text.hea").write_text("hello\n")
    (folder / "outside.hea").write_text("outside 1 250 10\n../../secret.dat 16 200/mV 16 0 0 0 0 II\n")
    (folder / "empty.vhdr").write_text("")
    brain = write_brainvision(folder / "climbs.vhdr", 1000 * ecg[:1], 250, ("II",))
    brain.write_text(brain.read_text(encoding="utf-8").replace("DataFile=climbs.eeg", "DataFile=../climbs.eeg"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["embed", "mixed", "--encoder", str(encoder_file), "--out", "o.parquet"])
    assert done.exit_code == 3, done.output
    last = done.output.strip().splitlines()[-1]
    assert last == "1 of 13 recordings embedded: o.parquet; 12 refused (why: o.refused.csv)"
    assert "SIMULATED" in done.output
    reasons = refused(tmp_path / "o.refused.csv")
    expected = {
        "cut": "holds", "no_ecg": "no ECG among its channels: EEG C3, EEG Cz", "scalp": "no ECG among",
        "twice": "are both lead II", "unit": "ECG II in bpm; expected voltages", "which": "do not say which lead",
        "short": "2.0 s long", "text.edf": "no EDF file", "text.hea": "no record line",
        "outside": "unsafe file: '../../secret.dat'", "empty": "no BrainVision header",
        "climbs": "unsafe file: '../climbs.eeg'",
    }  # fmt: skip
    for name, words in expected.items():
        assert words in reasons[name], (name, reasons[name])
    assert set(pd.read_parquet(tmp_path / "o.parquet")["record"]) == {"good"}


def test_a_long_recording_comes_in_pieces_with_the_same_windows(
    encoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecg = beats(250, 500).astype(np.float32)
    head = Recording(ecg[:, :0], 500.0, CLINICAL_LEADS, "mV", "", "r", "r")
    encoder = load_encoder(encoder_file)
    whole = windows_of(Recording(ecg, 500.0, CLINICAL_LEADS, "mV", "", "r", "r"), encoder)
    monkeypatch.setattr(pieces, "_PIECE_SAMPLES", 1 << 14)
    blocks = list(encoder.blocks(LongRecording(head, HeldSignal(ecg))))
    assert len(blocks) > 3
    np.testing.assert_array_equal(np.concatenate([block.start_s for block in blocks]), whole.start_s)
    found = np.concatenate([block.counts for block in blocks]).astype(int)
    assert np.abs(found - whole.counts).max() <= 1
    for name, values in whole.flags.items():
        np.testing.assert_array_equal(np.concatenate([block.flags[name] for block in blocks]), values)


@pytest.mark.slow
def test_five_hours_take_little_memory(tmp_path: Path, encoder_file: Path) -> None:
    """Two hours more must not cost more memory: 12 leads at 257 Hz, in EDF."""
    minute = beats(60, 257)
    for hours in (2, 5):
        write_edf(tmp_path / str(hours) / "long.edf", np.tile(minute, hours * 60), 257, CLINICAL_LEADS)
    peak = {}
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from physiopipe import load_encoder\n"
        "from physiopipe.own_recordings.embed import embed_recordings\n"
        "encoder = load_encoder(sys.argv[2])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "embed_recordings(Path(sys.argv[1]), encoder, Path(sys.argv[1]) / 'o.parquet')\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
    )
    for hours in (2, 5):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / str(hours)), str(encoder_file)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peak[hours] = float(done.stdout.split()[-1])
        assert len(pd.read_parquet(tmp_path / str(hours) / "o.parquet")) == hours * 360
    assert peak[5] < 1.25 * peak[2] + 20, peak
    assert peak[5] < 400, peak


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_under_a_final_name(tmp_path: Path, encoder_file: Path) -> None:
    folder = tmp_path / "many"
    for number in range(40):
        write_wfdb(folder, f"r{number:02d}", beats(60, 500), 500)
    command = [PHYSIOPIPE, "embed", str(folder), "--encoder", str(encoder_file), "--out", "o.parquet"]
    for number in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while not list(tmp_path.glob(".o.parquet.*.partial")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        said, _ = process.communicate()
        assert process.returncode != 0
        assert not list(tmp_path.glob("o.*"))
        assert "Traceback" not in said
    code, output = run(tmp_path, *command[1:])
    assert code == 0, output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "many", "o.parquet", "o.records.parquet", "o.refused.csv",
    ]  # fmt: skip
    assert len(pd.read_parquet(tmp_path / "o.parquet")) == 240


def test_what_a_new_user_types_wrong(tmp_path: Path, encoder_file: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    encoder = load_encoder(encoder_file)
    for place, words in ((tmp_path / "nowhere", "is missing"), (folder, "holds no recording: expected WFDB")):
        with pytest.raises(PhysiopipeError, match=words):
            embed_recordings(place, encoder, tmp_path / "o.parquet")
    write_edf(folder / "eeg.edf", beats(12, 250, 2), 250, ("EEG C3", "EEG Cz"), "uV")
    with pytest.raises(PhysiopipeError, match="none of the 1 recordings could be embedded; the first, eeg: no ECG"):
        embed_recordings(folder, encoder, tmp_path / "o.parquet")
    assert sorted(path.name for path in tmp_path.glob("o.*")) == ["o.refused.csv"]
    with pytest.raises(PhysiopipeError, match="was not trained at 250 Hz: expected one of 100 Hz, 200 Hz, 500 Hz"):
        embed_recordings(folder, encoder, tmp_path / "o.parquet", rate_hz=250)
    other = tmp_path / "eeg.edf.safetensors"
    other.write_bytes((folder / "eeg.edf").read_bytes())
    with pytest.raises(PhysiopipeError, match=r"not a readable \.safetensors file"):
        load_encoder(other)
    with pytest.raises(PhysiopipeError, match="is missing: expected an ECG encoder"):
        load_encoder(tmp_path / "nothing.safetensors")
    with pytest.raises(PhysiopipeError, match="metadata that cannot be read"):
        load_encoder(write_encoder(tmp_path / "odd.safetensors", preparation="{}"))


def test_an_encoder_of_an_earlier_version_says_its_filter_in_words(tmp_path: Path, encoder_file: Path) -> None:
    from safetensors.torch import load_file

    from physiopipe.models.weights import read_metadata, save_tensors

    told = read_metadata(encoder_file)
    older = {name: text for name, text in told.items() if name not in ("preparation", "format")}
    save_tensors(tmp_path / "older.safetensors", load_file(encoder_file), older)
    assert load_encoder(tmp_path / "older.safetensors").input.filter == load_encoder(encoder_file).input.filter


def test_reading_says_what_it_cannot_do(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", beats(12, 250, 2), 250, ("EEG C3", "ECG II"), "uV")
    assert read_recording(path).channels == CLINICAL_LEADS  # type: ignore[union-attr]
    eeg = read_recording(path, "eeg", ["C3", "C4"])
    assert isinstance(eeg, Recording)
    assert (eeg.channels, eeg.missing, eeg.unit, eeg.signal.shape) == (("C3", "C4"), ("C4",), "uV", (2, 3000))
    with pytest.raises(PhysiopipeError, match=r"which electrodes\? a\.edf has: EEG C3, ECG II"):
        read_recording(path, "eeg")
    with pytest.raises(RejectedRecord, match="none of the model's EEG channels"):
        read_recording(path, "eeg", ["Oz"])
    with pytest.raises(PhysiopipeError, match="expected ecg or eeg"):
        read_recording(path, "emg")


def test_importing_the_package_stays_light() -> None:
    program = "import sys, physiopipe; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", program], check=False, env=os.environ).returncode == 0


@pytest.mark.sample
def test_real_recordings(tmp_path: Path, encoder_file: Path) -> None:
    """Records of the Challenge and EDF with EEG and ECG, as published."""
    root = samples_root()
    folder = tmp_path / "real"
    folder.mkdir()
    headers = sorted((root / "challenge-2021").rglob("*.hea"))[::40]
    for header in headers:
        for path in header.parent.glob(f"{header.stem}.*"):
            (folder / path.name).symlink_to(path)
    (folder / "Subject00_2.edf").symlink_to(root / "eegmat" / "1.0.0" / "Subject00_2.edf")
    found = embedded(folder, encoder_file)
    assert found["record"].nunique() == len(headers) + 1
    assert np.isfinite(found[FEATURES].to_numpy()).all()
    assert set(found[found["record"] == "Subject00_2"]["leads"]) == {"ECG"}
