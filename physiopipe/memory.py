"""What this process keeps of the memory that it frees."""

import ctypes
import gc
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt(3)
_KEPT_BYTES = 256 << 20
_LARGEST_FROM_HEAP_BYTES = 32 << 20  # the most that glibc takes


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MiB that arrays have freed, instead of giving it back and faulting it in again.

    A job that allocates and frees arrays of a megabyte for each recording spends up to a third of its time on such
    page faults. What has been imported is no longer searched for garbage. Without glibc, only that is done.
    """
    gc.freeze()
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGEST_FROM_HEAP_BYTES)
            mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
