import os
import shutil
import sys
import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]


def pytest_collection_modifyitems(items):
    reason = None
    if os.geteuid() != 0:
        reason = "needs root for network namespaces and BPF"
    elif not shutil.which("ip"):
        reason = "needs iproute2"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def one_host():
    from lab import Lab
    with Lab(1) as lab:
        yield lab


@pytest.fixture(scope="module")
def three_hosts():
    from lab import Lab
    with Lab(3) as lab:
        yield lab
