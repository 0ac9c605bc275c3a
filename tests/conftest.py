"""Shared by all scenario tests: where things are, and machines booted once for many tests."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import pytest  # noqa: E402

from vm import TOP, VM  # noqa: E402

KERNEL = f"{TOP}/build/release/kernel.elf"
DEBUG_KERNEL = f"{TOP}/build/debug/kernel.elf"


@pytest.fixture(scope="module")
def shell():
    """One machine at its prompt, shared by the tests of a module that only type commands."""
    with VM(boot="pvh", kernel=DEBUG_KERNEL, smp="2", mem="256M") as vm:
        vm.prompt()
        vm.run("dmesg -n 1")
        yield vm


@pytest.fixture(scope="session")
def peer():
    """One machine for the tables of tests/wire, spoken to by frames made by hand."""
    from peer import Peer  # not at the top: scapy takes a second to load
    with Peer(kernel=DEBUG_KERNEL) as p:
        yield p


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: keeps every processor busy or measures time, so no other runs beside it")


def pytest_generate_tests(metafunc):
    """A module's TABLE: case name -> (stimulus, expected)."""
    table = getattr(metafunc.module, "TABLE", None)
    if table and "case" in metafunc.fixturenames:
        metafunc.parametrize("case", table.values(), ids=table.keys())
