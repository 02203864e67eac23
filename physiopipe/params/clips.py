"""`clips`: what is done to clips, once their windows are read, before methods are given them."""

from typing import Literal

BaselineUse = Literal["none", "subtract_features", "zscore_by_person"]
