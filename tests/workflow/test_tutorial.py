"""The tutorial: every block of it is run, in its order, in a copy of the study that its first block begins."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from studies import ROOT, Study

PAGE = ROOT / "docs" / "tutorial.md"


@pytest.mark.workflow
def test_every_block_of_the_tutorial_runs(tiny: Study, tmp_path: Path) -> None:
    blocks = re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks.pop(0) == (
        "sh",
        "physiopipe new study --preset tiny\ncd study\ndvc repro\n",
    )  # as test_installed does
    shutil.copytree(tiny.folder, tmp_path / "study", symlinks=True)
    study = Study(tmp_path / "study")
    said = []
    for kind, text in blocks:
        command = (sys.executable, "-c", text) if kind == "python" else ("bash", "-euc", text)
        said.append(study.run(*command, expect=2 if "did you mean" in text else 0))
    assert [kind for kind, _ in blocks] == ["python", "python", "sh", "sh", "sh"]
    windows, result, changed, mistake, back = said
    assert "['II', 'III']" in windows
    assert "Ours" in result
    assert "Oracle" in result
    assert "Running stage 'finetune@dreamer-chance'" in changed
    assert "did you mean `clips.dreamer.high_from`" in mistake
    assert "finetune@dreamer-chance' with" not in back
    assert back.count("> physiopipe") <= 2, "only what always looks, and what was changed back"
