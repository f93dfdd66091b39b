import os
import pathlib
import shutil
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "netns"), str(HERE.parent / "tools")]


def pytest_collection_modifyitems(items):
    reason = None
    if os.geteuid() != 0:
        reason = "needs root for network namespaces"
    elif not shutil.which("ovs-vswitchd"):
        reason = "needs openvswitch-switch"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))
