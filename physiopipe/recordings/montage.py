"""Where the electrodes are."""

from physiopipe.errors import PhysiopipeError

_MONTAGE = "colin27_1020"  # the international 10-20 system on the Colin27 head; holds DREAMER's 14 electrodes by name


def positions_m(channels: tuple[str, ...]) -> dict[str, tuple[float, float, float]]:
    """Position of each electrode in metres from the head's centre: right, front, up.

    Raises:
        PhysiopipeError: a channel is no electrode of the 10-20 system.
    """
    import mne  # a second of imports that the rest of the package does without

    known = mne.channels.make_standard_montage(_MONTAGE).get_positions()["ch_pos"]
    missing = [name for name in channels if name not in known]
    if missing:
        raise PhysiopipeError(
            f"no position is known for {', '.join(missing)}: expected names of the international 10-20 system, as AF3."
        )
    return {name: (float(known[name][0]), float(known[name][1]), float(known[name][2])) for name in channels}
