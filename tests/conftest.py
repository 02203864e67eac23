"""Where the real recordings are named, a test that skips for want of them is a failure, not a skip."""

import os

import pytest

# Small matrices, and cores that others may use too: threads would wait for one another. What is said of threads in
# parameters still holds.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "PHYSIOPIPE_SAMPLE_DIR" in str(report.longrepr):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("PHYSIOPIPE_SAMPLE_DIR") and _skipped:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("PHYSIOPIPE_SAMPLE_DIR") and _skipped:
        terminalreporter.section("skipped although PHYSIOPIPE_SAMPLE_DIR is set")
        terminalreporter.line("\n".join(_skipped))
