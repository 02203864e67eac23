"""Line length: the mean absolute step between neighbouring samples (Esteller et al. 2001)."""

import numpy as np
import numpy.typing as npt


def log_line_length(
    windows: npt.NDArray[np.float32], present: npt.NDArray[np.bool_], patches: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Natural logarithm of each channel's line length, (w, channel); NaN where a channel is missing or flat.

    Args:
        windows: (w, channel, patch, 200), in any unit.
        present: (w, channel).
        patches: (w,), leading patches that hold signal; what follows them is padding.
    """
    found = np.full(present.shape, np.nan)
    for index, (window, count) in enumerate(zip(windows, patches, strict=True)):
        signal = window[:, :count].reshape(len(window), -1).astype(np.float64)
        steps = np.abs(np.diff(signal, axis=1)).mean(axis=1)
        moving = present[index] & (steps > 0)
        found[index, moving] = np.log(steps[moving])
    return found
