"""One weft-api for all of this folder's tests."""

import pytest

import server


@pytest.fixture(scope="session")
def api():
    if not server.PROGRAM.exists():
        pytest.fail(f"{server.PROGRAM} is not built")
    running = server.Server()
    try:
        yield running.wait().log_in()
    finally:
        running.stop()
