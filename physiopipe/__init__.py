"""From public ECG and EEG recordings to a table of results that anyone can rerun.

`from physiopipe import load_encoder, read_recording, windows_of` is for recordings of one's own; what these need is
imported when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physiopipe.own_recordings.encoder import load_encoder, windows_of
    from physiopipe.own_recordings.reading import read_recording

__version__ = "0.2.0"
__all__ = ["load_encoder", "read_recording", "windows_of"]
_PLACES = {
    "load_encoder": "physiopipe.own_recordings.encoder",
    "read_recording": "physiopipe.own_recordings.reading",
    "windows_of": "physiopipe.own_recordings.encoder",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
