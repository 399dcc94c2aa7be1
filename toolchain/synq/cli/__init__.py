"""The commands `synq` and `synq-export`: their entry points, and every way out of them.

Modules that import numpy, torch or TensorFlow are imported inside the commands, so that `--help`
answers at once.
"""

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn

from synq import __version__
from synq.cli.interrupt import Interrupts
from synq.errors import SynqError


def main() -> None:
    """Entry point of `synq`."""
    _run("synq")


def main_export() -> None:
    """Entry point of `synq-export`."""
    _run("synq-export")


def _run(name: str) -> NoReturn:
    """Run a command; every failure a user can cause is one line on standard error."""
    interrupts = Interrupts()
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a path may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        if sys.argv[1:] == ["--version"]:
            print(f"synq {__version__}")
        else:
            from synq.cli.app import invoke  # slow, so only now that Ctrl-C is in good hands

            invoke(name)
        if sys.stdout is not None:
            sys.stdout.flush()
        interrupts.ignore()  # at Python's own end a signal would be the exit code
    except BaseException as error:
        logging.getLogger("synq").debug("traceback", exc_info=True)
        # Whatever it became on its way here: libraries turn a Ctrl-C into an ImportError and worse.
        if interrupts.happened:
            interrupts.ignore()
            kept = isinstance(error, SynqError) and error.exit_code == 130  # it says what
            _say(name, str(error) if kept else "interrupted; nothing was written")
            _flush()
            os._exit(130)  # all is tidied up; Python would take TensorFlow apart, and join threads
        _explain(name, error)
    _leave(0)


def _explain(name: str, error: BaseException) -> NoReturn:
    match error:
        case SystemExit():
            raise error
        case SynqError():
            from synq.cli.app import options_of

            _fail(name, f"{error}{options_of(error, name)}", error.exit_code)
        case BrokenPipeError():  # the reader of our output has seen enough
            _leave(1)
        case MemoryError():
            _fail(name, "out of memory: close other programs, or give less data", 1)
        case OSError():
            where = f" ({error.filename})" if error.filename else ""
            _fail(name, f"{error.strerror or error}{where}", 1)
        case _:
            first_line = " ".join(str(error).splitlines()[:1])
            _fail(
                name,
                f"internal error, {type(error).__name__}: {first_line}; "
                "this is a bug in synq: please report it with what --verbose prints",
                1,
            )


def _fail(name: str, message: str, code: int) -> NoReturn:
    _say(name, message)
    _leave(code)


def _say(name: str, message: str) -> None:
    if sys.stderr is not None:  # for None, print would take standard output
        with suppress(OSError):  # the exit code is all that is left to say it
            print(f"{name}: error: {' '.join(message.splitlines())}", file=sys.stderr, flush=True)


def _leave(code: int) -> NoReturn:
    _flush()
    sys.exit(code)


def _flush() -> None:
    """Write what is waiting; Python shall not try again, and complain, where that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_what_is_closed() -> None:
    """Let the numbers of standard input, output and error not become those of a project's files:
    whatever a library prints would go there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
