"""Names of EEG electrodes, as recorders write them. Pure functions."""

import re
from functools import lru_cache

# The 10-20 system's names before 1991 and today (Klem et al. 1999, Electroencephalogr. Clin. Neurophysiol. Suppl. 52:3)
_TODAY = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_BEFORE = re.compile(r"^(?:EEG|EOG)[\s_\-.:]+")
_REFERENCE = re.compile(r"[\s_\-.:]+(?:REF|LE|AVG|AVERAGE|CAR|M1M2|A1A2|LINKED)$")  # A2-A1 is a pair, and stays one
# Electrodes that no ECG has: where a file has one of them, its C1 to C6 are places on the scalp, not chest leads
_SCALP = re.compile(r"(?:FP|AF|F|FC|FT|T|C|TP|CP|P|PO|O|I)(?:Z|[0-9]{1,2})")


@lru_cache(maxsize=1024)
def canonical_electrode(name: str) -> str:
    """Name of an electrode in capitals, by today's 10-20 system: `EEG Fp1-REF` and `fp1` are FP1, `T3` is T7."""
    capitals = _REFERENCE.sub("", _BEFORE.sub("", name.strip().upper()))
    joined = re.sub(r"[\s_.:]+", "", capitals)
    return _TODAY.get(joined, joined)


def is_electrode(name: str) -> bool:
    """Whether a name is one of the international 10-10 system, reference and older names included."""
    return _SCALP.fullmatch(canonical_electrode(name)) is not None
