"""Digests of the package's own code: a result made by other code is another result."""

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import physiopipe
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_file, sha256_json

_ROOT = Path(physiopipe.__file__).parent


def digest_of_sources(patterns: Iterable[str]) -> str:
    """Digest of the package files matching `patterns` (`methods/ours.py`, `models/*.py`).

    Raises:
        PhysiopipeError: a pattern matches nothing (a method names a file that was moved).
    """
    files: dict[str, str] = {}
    for pattern in patterns:
        matches = sorted(_ROOT.glob(pattern))
        if not matches:
            raise PhysiopipeError(f"No file of the package matches {pattern}: correct the method's `sources`.")
        files |= {path.relative_to(_ROOT).as_posix(): sha256_file(path) for path in matches}
    return sha256_json(files)


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of the distributions that a method computes with."""
    return {name: version(name) for name in names}
