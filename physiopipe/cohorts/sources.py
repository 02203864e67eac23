"""What is known of each source beforehand: size, rate, mains, licence, citation; the table is sources.csv.

Standard library only: download jobs read it.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class SourceInfo:
    """One row of sources.csv.

    Attributes:
        name: published folder of the Challenge (georgia, ...), `dreamer` or `cbramod_weights`.
        version: of the publication.
        url: where it is published.
        mirror: a second address with the same bytes, or empty.
        records: recordings published (DREAMER: subject and clip pairs).
        bytes_per_record: typical size of a record's samples, bytes; exact for the sources whose records are all alike.
        rate_hz: sampling rate, Hz (DREAMER: of the EEG); None for weights.
        mains_hz: frequency of the mains where it was recorded, Hz; None for weights.
        country: where it was recorded, or empty.
        licence: of the data.
        access: `open` or `on request`.
        citation: what to cite.
    """

    name: str
    version: str
    url: str
    mirror: str
    records: int
    bytes_per_record: int
    rate_hz: float | None
    mains_hz: float | None
    country: str
    licence: str
    access: str
    citation: str


def _read() -> dict[str, SourceInfo]:
    with Path(__file__).with_name("sources.csv").open(encoding="utf-8", newline="") as handle:
        return {
            row["name"]: SourceInfo(
                name=row["name"],
                version=row["version"],
                url=row["url"],
                mirror=row["mirror"],
                records=int(row["records"]),
                bytes_per_record=int(row["bytes_per_record"]),
                rate_hz=float(row["rate_hz"]) if row["rate_hz"] else None,
                mains_hz=float(row["mains_hz"]) if row["mains_hz"] else None,
                country=row["country"],
                licence=row["licence"],
                access=row["access"],
                citation=row["citation"],
            )
            for row in csv.DictReader(handle)
        }


SOURCE_INFO = MappingProxyType(_read())
