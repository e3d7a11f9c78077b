"""The child process in which readers are called that may hang."""

import time

import pytest

from tests.guarded import GuardedChild


def nothing():
    """Prepare nothing."""


def spin():
    while True:
        pass


def fill(n_megabytes):
    return len(bytearray(n_megabytes * 2**20))


@pytest.fixture(scope="module")
def child():
    with GuardedChild(nothing, seconds=0.5, megabytes=300) as guarded:
        yield guarded


def test_a_call_that_hangs_is_ended_and_the_next_one_runs(child):
    start = time.monotonic()
    assert child.call(spin).failure == "timeout"
    assert time.monotonic() - start < 60
    assert child.call(fill, 1).value == 2**20


def test_a_call_that_takes_too_much_memory_fails_alone(child):
    assert child.call(fill, 1000).failure == "memory"
    used = child.call(fill, 100)
    assert (used.value, used.failure) == (100 * 2**20, "")
    assert 90 < used.megabytes < 200


def test_an_exception_is_handed_back_as_its_traceback(child):
    failure = child.call(fill, "much").failure
    assert failure.strip().splitlines()[-1].startswith("TypeError")
