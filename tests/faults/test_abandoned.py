"""What a killed process leaves of a file is removed by the next that writes it, and what a living one writes is not."""

import subprocess
import sys
from pathlib import Path

from physiopipe.files import atomic_file

PROGRAM = (
    "import sys\nfrom pathlib import Path\nfrom physiopipe.files import atomic_file\n"
    "with atomic_file(Path(sys.argv[1])) as temporary:\n"
    "    temporary.write_text('theirs')\n    print('written', flush=True)\n    sys.stdin.read()\n"
)


def other_writer(path: Path) -> "subprocess.Popen[str]":
    """Another process that has written its temporary file, and waits."""
    writer = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    return writer


def write(path: Path) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text("ours")


def test_the_file_of_a_killed_writer_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a[b].batch"
    other = tmp_path / "another.batch"
    killed, living = other_writer(path), other_writer(other)
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    write(path)
    assert path.read_text() == "ours"
    living.communicate("")
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_the_file_of_a_living_writer_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "one.batch"
    living = other_writer(path)
    write(path)
    assert path.read_text() == "ours"
    living.communicate("")
    assert living.returncode == 0
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]
