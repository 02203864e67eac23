"""A planned comparison that cannot be made is refused: Holm's correction would run over fewer than were planned."""

import pytest

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.planned import check_planned
from physiopipe.params import Params, check_params


def study(planned: str, *variants: str, methods: tuple[str, ...] = ("ours",), high_from: int = 3) -> Params:
    ablations = {"variants": [planned, *variants], "planned": [planned]}
    clips = {"dreamer": {"high_from": high_from}}
    return check_params({"methods": list(methods), "ablations": ablations, "clips": clips}, "test")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (study("ecg_untrained"), ""),
        (study("ecg_untrained", methods=("chance",)), "compared with ours, which is not run: expected ours in methods"),
        (study("patch_masking", "dual_masking"), ""),
        (
            study("patch_masking"),
            "patch_masking is compared with dual_masking, which is not run: expected dual_masking",
        ),
        (study("high_from_4", high_from=4), ""),
        (study("high_from_4"), "high_from_4 has other labels than ours on dreamer"),
        (study("high_from_4_handcrafted", "high_from_4"), ""),
        (study("gap_embedding_embedding_network_window"), "is compared with no row"),
    ],
)
def test_a_planned_row_is_compared_with_one_that_is_run(asked: Params, said: str) -> None:
    if not said:
        check_planned(asked)
        return
    with pytest.raises(PhysiopipeError, match=r"ablations\.planned cannot be kept") as caught:
        check_planned(asked)
    assert said in str(caught.value)
