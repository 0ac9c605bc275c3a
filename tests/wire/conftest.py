"""One machine for all tables of this folder: debug kernel, one CPU, static addresses."""
import pytest

from peer import Peer
from vm import TOP


@pytest.fixture(scope="session")
def peer():
    with Peer(kernel=f"{TOP}/build/debug/kernel.elf") as p:
        yield p


def pytest_generate_tests(metafunc):
    """A module's TABLE: case name -> (stimulus, expected)."""
    table = getattr(metafunc.module, "TABLE", None)
    if table and "case" in metafunc.fixturenames:
        metafunc.parametrize("case", table.values(), ids=table.keys())
