"""sources.csv against what the code uses."""

import pytest

from physiopipe.cohorts.challenge import COHORT, SOURCES, ChallengeData
from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.params import Weights


def test_every_source_of_the_parameters_is_described_and_no_other() -> None:
    assert set(SOURCE_INFO) == {*SOURCES, "dreamer", "eegmat", "bcmi", "cbramod_weights"}


def test_the_challenge_has_88253_records() -> None:
    assert sum(SOURCE_INFO[source].records for source in SOURCES) == 88_253


@pytest.mark.parametrize("source", SOURCES)
def test_the_notch_is_at_the_mains_of_each_source(source: str) -> None:
    assert COHORT.modalities["ecg"].filter.notch_of(source) == SOURCE_INFO[source].mains_hz


def test_addresses_are_those_that_are_downloaded_from() -> None:
    base_url = ChallengeData().base_url
    for source in SOURCES:
        assert SOURCE_INFO[source].url == f"{base_url}/training/{source}/"
        assert SOURCE_INFO[source].mirror == f"s3://physionet-open/challenge-2021/1.0.3/training/{source}/"
    weights = Weights()
    assert SOURCE_INFO["cbramod_weights"].url == f"hf://{weights.repository}/{weights.filename}"


@pytest.mark.parametrize("name", sorted(SOURCE_INFO))
def test_every_source_has_licence_access_and_citation(name: str) -> None:
    info = SOURCE_INFO[name]
    assert info.licence
    assert info.version
    assert info.citation
    assert info.access in {"open", "on request"}
    assert info.records * info.bytes_per_record > 0
