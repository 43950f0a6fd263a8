"""The lab for pytest: a `guest` fixture, one guest per kernel for the whole run.

    --lab-kernels 6.12,6.1     which kernels; every test that wants a guest runs on each (default: 6.12)
    --lab-connect SOCKET       use the guest of a lab server instead of booting
    --lab-required             fail instead of skipping where no guest can be had
    @pytest.mark.kernels(…)    a test that is worth its time on these kernels only

A guest boots when its first test wants it, sees edits below pytest's root directory, and is booted again after a test
in which its kernel died.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from probee.errors import LabError
from probee.lab.guest import Guest
from probee.lab.kernel import DEFAULT

NO_GUEST = "no lab guest: "


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lab")
    kernels = os.environ.get("PROBEE_LAB_KERNELS", DEFAULT)
    required = bool(os.environ.get("PROBEE_LAB_REQUIRED"))
    group.addoption("--lab-kernels", default=kernels, help="kernels for the lab's guests, separated by commas")
    group.addoption("--lab-connect", default="", metavar="SOCKET", help="use the guest of this lab server")
    group.addoption("--lab-required", action="store_true", default=required, help="no guest is a failure, not a skip")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "guest" in metafunc.fixturenames:
        if metafunc.config.getoption("--lab-connect"):
            kernels = ["server"]
        else:
            kernels = [name.strip() for name in metafunc.config.getoption("--lab-kernels").split(",") if name.strip()]
            only = metafunc.definition.get_closest_marker("kernels")
            kernels = [name for name in kernels if only is None or name in only.args]
        metafunc.parametrize("guest", kernels, indirect=True, scope="session")


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[Guest]:
    """A running lab guest of the kernel that this run of the test is for."""
    if os.environ.get("LAB"):
        pytest.skip(NO_GUEST + "this is one")
    connect = pytestconfig.getoption("--lab-connect")
    made = Guest(DEFAULT if connect else request.param, follow=[str(pytestconfig.rootpath)], connect=connect)
    try:
        made.host()
    except LabError as error:
        if pytestconfig.getoption("--lab-required"):
            raise
        pytest.skip(NO_GUEST + str(error).splitlines()[0])
    with made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give all skips for want of a guest one place, so that pytest prints their reason once."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_GUEST in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report
