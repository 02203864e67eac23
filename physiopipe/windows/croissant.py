"""Croissant metadata (MLCommons, version 1.0) of a cohort's windows: a JSON-LD file beside their folder.

The index is a record set, a row a window; the arrays are a file set of Zarr stores. Nothing of this machine is in it.
"""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from physiopipe.cohorts.registry import cohort as registered
from physiopipe.files import atomic_file, sha256_file, write_json
from physiopipe.windows.store import WindowStore

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TOLD = {
    "rate_hz": "sampling rate of the window, Hz",
    "source": "folder of the publication that the recording comes from",
    "record": "name of the recording",
    "subject": "whose recording it is",
    "clip": "number of the clip in the experiment, from 1",
    "start_s": "start of the window from the recording's start, s",
    "valid_patches": "leading patches of 200 samples that hold signal",
    "channel_mask": "bit i: channel i is there and not flat",
    "derived_mask": "bit i: channel i was computed from others",
    "saturated": "samples held at the ends of int16",
    "part": "the Zarr store that holds the window",
    "row": "its row there",
}


def write_croissant(folder: Path) -> Path:
    """Describe the cohort in `folder` (data/windows/<cohort>); the file is `<folder>.croissant.json`.

    Raises:
        PhysiopipeError: there is no cohort, or its files are not as they were written.
    """
    store = WindowStore(folder)
    path = folder.with_name(f"{folder.name}.croissant.json")
    with atomic_file(path) as temporary:
        write_json(temporary, croissant(store))
    return path


def croissant(store: WindowStore) -> dict[str, Any]:
    """The metadata of a store as JSON."""
    cohort, manifest = registered(store.manifest["cohort"]), store.manifest
    simulated = bool(manifest["simulated"])
    stores = sorted({array["path"] for array in manifest["arrays"]})
    index = store.folder / "index.parquet"
    assert len(store.index), "checked against its checksum"
    words = f"{manifest['windows']} windows of {manifest['records']} recordings of {cohort.title}, made by physiopipe."
    if simulated:
        words = f"SIMULATED, nobody was recorded: {words}"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{cohort.name}-windows{'-simulated' if simulated else ''}",
        "description": words,
        "license": cohort.licence,
        "citeAs": cohort.citation,
        **({"url": f"https://doi.org/{doi[-1]}"} if (doi := re.findall(r"doi:([^\s;,]+)", cohort.citation)) else {}),
        "version": f"1.0.0+{manifest['content_sha256'][:12]}",
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": "index", "name": "index", "description": "one row a window",
                "contentUrl": f"{store.folder.name}/index.parquet", "encodingFormat": "application/x-parquet",
                "sha256": sha256_file(index), "contentSize": f"{index.stat().st_size} B",
            },
            {
                "@type": "cr:FileSet", "@id": "windows", "name": "windows",
                "description": "Zarr 3 stores: windows int16 (window, channel, patch, sample), scale float32 (window)",
                "encodingFormat": "application/x-zarr",
                "includes": [f"{store.folder.name}/{each}/**" for each in stores],
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet", "@id": "window", "name": "window", "description": "one row a window",
                "field": [_field(each) for each in pq.read_schema(index)],
            }
        ],
    }  # fmt: skip


def _field(column: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"window/{column.name}",
        "name": column.name,
        "description": _TOLD.get(column.name, column.name.replace("_", " ")),
        "dataType": _data_type(column.type),
        "source": {"fileObject": {"@id": "index"}, "extract": {"column": column.name}},
    }


def _data_type(found: pa.DataType) -> str:
    if pa.types.is_boolean(found):
        return "sc:Boolean"
    if pa.types.is_integer(found):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(found) else "sc:Text"
