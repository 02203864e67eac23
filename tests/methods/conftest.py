from collections.abc import Callable

import pytest
from planted_clips import planted_clips

from physiopipe.methods.base import ClipData


@pytest.fixture
def make_clips() -> Callable[..., ClipData]:
    return planted_clips
