"""Where the electrodes are, and recordings as MNE knows them."""

from typing import TYPE_CHECKING

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.recording import Recording

if TYPE_CHECKING:
    import mne

_MONTAGE = "colin27_1020"  # the international 10-20 system on the Colin27 head; holds DREAMER's 14 electrodes by name
_TO_VOLT = {"uV": 1e-6, "mV": 1e-3}


def positions_m(channels: tuple[str, ...]) -> dict[str, tuple[float, float, float]]:
    """Position of each electrode in metres from the head's centre: right, front, up.

    Raises:
        PhysiopipeError: a channel is no electrode of the 10-20 system.
    """
    known = _montage().get_positions()["ch_pos"]
    missing = [name for name in channels if name not in known]
    if missing:
        raise PhysiopipeError(
            f"no position is known for {', '.join(missing)}: expected names of the international 10-20 system, as AF3."
        )
    return {name: (float(known[name][0]), float(known[name][1]), float(known[name][2])) for name in channels}


def as_mne(recording: Recording) -> "mne.io.RawArray":
    """The recording as MNE's `RawArray`, in volt; EEG with its montage.

    Raises:
        PhysiopipeError: the recording's unit is not known, so it cannot be told in volt.
    """
    import mne  # a second of imports that the rest of the package does without

    if recording.unit not in _TO_VOLT:
        raise PhysiopipeError(
            f"{recording.record}: its unit is {recording.unit}, and MNE wants volt: scale it by a unit you know first."
        )
    eeg = recording.unit == "uV"
    info = mne.create_info(list(recording.channels), recording.rate_hz, "eeg" if eeg else "ecg", verbose="error")
    raw = mne.io.RawArray(recording.signal * _TO_VOLT[recording.unit], info, verbose="error")
    if eeg:
        raw.set_montage(_montage(), verbose="error")
    return raw


def _montage() -> "mne.channels.DigMontage":
    import mne

    return mne.channels.make_standard_montage(_MONTAGE)
