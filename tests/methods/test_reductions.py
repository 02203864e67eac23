from pydantic import Field

from physiopipe.methods.reductions import reductions
from physiopipe.params.section import Section


class Inner(Section):
    layers: int = 12


class Outer(Section):
    epochs: int = 40
    drawn: int | None = None
    doubled: bool = False
    form: str = "paper"
    rate: float = 1e-3
    inner: Inner = Field(Inner())


def test_every_difference_is_named_and_nothing_else() -> None:
    assert reductions(Outer()) == ""
    assert reductions(Outer(epochs=10, drawn=640)) == "reduced: epochs 10 of 40, drawn 640 of all"
    changed = Outer(epochs=50, doubled=True, form="code", rate=1e-4, inner=Inner(layers=2))
    assert reductions(changed) == (
        "reduced: inner layers 2 of 12; changed: epochs 50, not 40; doubled yes, not no; form code, not paper; "
        "rate 0.0001, not 0.001"
    )
