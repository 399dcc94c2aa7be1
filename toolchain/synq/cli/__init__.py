"""The commands `synq` and `synq-export`.

Modules that import numpy, torch or TensorFlow are imported inside the commands, so that `--help`
answers at once.
"""

import logging
import os
import signal
import sys
from types import FrameType

import typer
from typer._click.exceptions import ClickException

from synq.cli import boards, devices, export, quantize, train, verify
from synq.errors import SynqError

app = typer.Typer(
    name="synq",
    help="From a trained network to a bit-exact memristor synapse array on an FPGA.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("export")(export.export)
app.command("train")(train.train)
app.command("quantize")(quantize.quantize)
app.command("verify")(verify.verify)
app.command("boards")(boards.boards)
app.command("devices")(devices.devices)

export_app = typer.Typer(name="synq-export", add_completion=False, pretty_exceptions_enable=False)
export_app.command("synq-export")(export.export)


def main() -> None:
    """Entry point of `synq`."""
    _run(app, "synq")


def main_export() -> None:
    """Entry point of `synq-export`."""
    _run(export_app, "synq-export")


def _run(application: typer.Typer, name: str) -> None:
    """Run a command; every failure a user can cause is one line on standard error."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = application(prog_name=name, standalone_mode=False)
    except ClickException as error:
        _fail(name, error.format_message().replace("\n", " "), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail(name, "interrupted; nothing was written", 130)
    except SynqError as error:
        _fail(name, str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except MemoryError:
        _fail(name, "out of memory", 1)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _fail(name, f"{error.strerror or error}{where}; nothing was written", 1)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(name: str, message: str, code: int) -> None:
    logging.getLogger("synq").debug("traceback", exc_info=True)
    print(f"{name}: error: {message}", file=sys.stderr)
    sys.exit(code)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # the same orderly way out as Ctrl-C
