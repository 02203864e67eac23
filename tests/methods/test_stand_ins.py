"""What holds of all stand-ins: rows of their own name."""

import pytest

from physiopipe.cohorts.dreamer_reported import REPORTED
from physiopipe.methods.registry import method_class

every = pytest.mark.parametrize("name", ["lin_style", "single_lead", "brant_x_style"])


@every
def test_no_row_bears_the_name_of_the_method_that_it_stands_in_for(name: str) -> None:
    found = method_class(name)
    printed = {row.method for row in REPORTED.rows}
    assert {"Lin et al.", "Wang et al.", "Brant-X"} <= printed
    assert found.title not in printed
    assert found.title.endswith("(stand-in)")
    assert found.note.startswith("Stand-in for ")
