"""A real SLURM of two virtual nodes on this machine, from Debian's packages; all of it ends with the test."""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CONFIG = Path("/etc/slurm/slurm.conf")  # fixed: Snakemake's executor drops SLURM_CONF
MARK = "# A cluster of physiopipe's tests; may be removed when none of them runs\n"
LOCK = Path(tempfile.gettempdir()) / "physiopipe-slurm-tests.lock"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scancel", "setpriv")
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
NODES = ("n1", "n2")


def why_not() -> str | None:
    """What keeps a cluster from being started here, or None."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=SYSTEM_PATH) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge"
    if os.geteuid() != 0:
        return "SLURM's daemons need root"
    if CONFIG.exists() and not CONFIG.read_text().startswith(MARK):
        return f"{CONFIG} belongs to a real cluster"
    return None


def ask(*command: str) -> str:
    """Output of one of SLURM's commands; an error where it fails."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def jobs() -> dict[str, tuple[str, str]]:
    """State and node of every job the cluster has had, by its number."""
    lines = ask("squeue", "--states=all", "--noheader", "--format=%i|%T|%N").splitlines()
    return {job: (state, node) for job, state, node in (line.split("|") for line in lines)}


@contextmanager
def two_nodes() -> Iterator[None]:
    """Run munged, slurmctld and two slurmd; stop them, and every job, on the way out."""
    with ExitStack() as stack:
        lock = stack.enter_context(LOCK.open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)  # one such cluster at a time on a machine
        folder = Path(tempfile.mkdtemp(prefix="physiopipe-slurm-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # munged wants its socket within everybody's reach
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        CONFIG.parent.mkdir(exist_ok=True)
        stack.callback(CONFIG.unlink, missing_ok=True)
        CONFIG.write_text(_config(folder))
        stack.callback(_kill_steps, _steps())
        sockets = [f"--{name}={folder}/munge.{name}" for name in ("socket", "pid-file", "seed-file")]
        _daemon(stack, folder, "munged", "--foreground", "--force", f"--key-file={key}", *sockets)
        _wait_for("munged", folder, lambda: (folder / "munge.socket").exists())
        _daemon(stack, folder, "slurmctld", "-D")
        for node in NODES:
            _daemon(stack, folder, "slurmd", "-D", "-N", node)
        _wait_for("the nodes", folder, lambda: ask("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(NODES))
        stack.callback(_cancel_all)
        yield


def _config(folder: Path) -> str:
    host = socket.gethostname().partition(".")[0]
    control, *nodes = _free_ports(1 + len(NODES))
    return MARK + "\n".join(
        [
            "ClusterName=physiopipe",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={control}",
            "SlurmUser=root",
            f"AuthInfo=socket={folder}/munge.socket",
            f"StateSaveLocation={folder}/state",
            f"SlurmdSpoolDir={folder}/spool-%n",
            f"SlurmctldPidFile={folder}/slurmctld.pid",
            f"SlurmdPidFile={folder}/slurmd-%n.pid",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "JobAcctGatherType=jobacct_gather/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory",
            "SlurmdParameters=config_overrides",  # nodes as large as we say, on whatever machine this is
            "ReturnToService=2",
            "KillWait=5",
            "MinJobAge=86400",  # squeue is asked for jobs long ended: there is no accounting
            *(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000"
                for name, port in zip(NODES, nodes, strict=True)
            ),
            f"PartitionName=main Nodes={','.join(NODES)} Default=YES State=UP",
            "",
        ]
    )


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]


def _daemon(stack: ExitStack, folder: Path, *command: str) -> None:
    """Start a daemon in the foreground; it ends with the stack and, whatever happens, with this process."""
    log = stack.enter_context((folder / f"{command[0]}-{command[-1].strip('-')[:2]}.log").open("w"))
    program = shutil.which(command[0], path=SYSTEM_PATH)
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", str(program), *command[1:]], stdout=log, stderr=log, start_new_session=True
    )
    stack.callback(_stop, process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(what: str, folder: Path, ready: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            if ready():
                return
        except subprocess.SubprocessError:
            pass  # slurmctld is not listening yet
        time.sleep(0.2)
    logs = "\n".join(f"--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(folder.glob("*.log")))
    raise AssertionError(f"{what} did not come up in {timeout_s:.0f} s\n{logs}")


def _cancel_all() -> None:
    running = ("PENDING", "RUNNING", "COMPLETING")
    subprocess.run(["scancel", "--user=root", "--full"], check=False, timeout=60)
    end = time.monotonic() + 20
    while time.monotonic() < end and any(state in running for state, _ in jobs().values()):
        time.sleep(0.5)


def _steps() -> set[int]:
    """Processes that look after SLURM's jobs, each the parent of one job step."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == "slurmstepd":
                found.add(int(path.parent.name))
        except OSError:
            continue  # it has just ended
    return found


def _kill_steps(before: set[int]) -> None:
    for process in _steps() - before:
        try:
            os.kill(process, 9)
        except ProcessLookupError:
            continue
