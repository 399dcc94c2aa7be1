"""An interrupt that Python or a library drops ends the command all the same."""

import subprocess
import sys

import pytest

_COMMAND = """
import os, signal, sys, time, weakref
from contextlib import suppress
from synq.cli.interrupt import Interrupts

interrupts = Interrupts()

class Thing:
    pass

class Loud:
    def __del__(self):
        interrupt()

def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass

def in_a_callback():
    thing = Thing()
    reference = weakref.ref(thing, interrupt)
    del thing

def in_a_destructor():
    Loud()

def in_a_library():
    with suppress(BaseException):
        interrupt()

cleaned = False
try:
    try:
        {how}()
        while True:
            time.sleep(10)
    finally:  # which must not be interrupted in turn
        time.sleep(0.3)
        with suppress(KeyError):
            {{}}[0]
        for _ in range(1_000_000):
            pass
        cleaned = True
except KeyboardInterrupt:
    interrupts.ignore()
    time.sleep(0.2)
    print(interrupts.happened, cleaned)
"""


@pytest.mark.parametrize("how", ["in_a_callback", "in_a_destructor", "in_a_library", "interrupt"])
def test_a_dropped_interrupt_is_raised_again(how: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _COMMAND.format(how=how)], capture_output=True, text=True, timeout=60
    )
    assert (result.stdout, result.stderr) == ("True True\n", "")
