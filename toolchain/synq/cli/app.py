"""The commands and their options, as Typer knows them."""

import sys
from typing import Annotated

import typer

from synq.cli import (
    boards,
    chips,
    device,
    devices,
    diff,
    export,
    load_image,
    plan,
    program,
    quantize,
    report,
    show,
    sweep,
    synth,
    train,
    verify,
)
from synq.cli.options import quietable
from synq.errors import SynqError, UsageError, nearest_names

app = typer.Typer(
    name="synq",
    help="From a trained network to a bit-exact memristor synapse array on an FPGA.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _synq(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", metavar="")
    ] = False,  # answered before this is imported, see `synq.cli`
) -> None:
    """From a trained network to a bit-exact memristor synapse array on an FPGA."""


app.command("export")(quietable(export.export))
app.command("train")(quietable(train.train))
app.command("plan")(quietable(plan.plan))
app.command("quantize")(quietable(quantize.quantize))
app.command("sweep")(quietable(sweep.sweep))
app.command("program")(quietable(program.program))
app.command("chips")(quietable(chips.chips))
app.command("verify")(quietable(verify.verify))
app.command("show")(show.show)
app.command("diff")(diff.diff)
app.command("synth")(quietable(synth.synth))
app.command("load-image")(quietable(load_image.load_image))
app.command("report")(quietable(report.report))
app.command("boards")(boards.boards)
app.command("devices")(devices.devices)
device_app = typer.Typer(name="device", help="A device of your own.")
device_app.command("fit")(quietable(device.fit))
app.add_typer(device_app)


@device_app.callback()
def _device() -> None:
    """A device of your own, from its measurements."""


export_app = typer.Typer(name="synq-export", add_completion=False, pretty_exceptions_enable=False)
export_app.command("synq-export")(quietable(export.export))


def invoke(name: str) -> None:
    """Run the command `name` on the process's arguments.

    Raises:
        UsageError: the arguments are not those of the command.
        KeyboardInterrupt: it was interrupted.
    """
    application, arguments = export_app, sys.argv[1:]
    if name == "synq":
        application, arguments = app, sys.argv[1:] or ["--help"]
    try:
        code = application(arguments, prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        raise UsageError(_one_line(error)) from error
    if code == 130:  # what Typer makes of a Ctrl-C
        raise KeyboardInterrupt


def options_of(error: SynqError, name: str) -> str:
    """The options of the running command that set what an error is about: " (--rows)" or ""."""
    command = typer.main.get_command(export_app if name == "synq-export" else app)
    for name_given in sys.argv[1:3]:
        if isinstance(command, typer.core.TyperGroup):
            command = command.commands.get(name_given, command)
    known = {option for parameter in command.params for option in parameter.opts}
    options = [f"--{setting.replace('_', '-')}" for setting in error.settings]
    named = ", ".join(option for option in options if option in known)
    return f" ({named})" if named else ""


def _one_line(error: typer.TyperException) -> str:
    """Typer's message as synq's own are written."""
    if possibilities := getattr(error, "possibilities", None):
        option = getattr(error, "option_name", "")
        return f"no such option {option}; {nearest_names(option, possibilities)}"
    text = " ".join(error.format_message().split()).replace("Value error, ", "").rstrip(".")
    text = text.replace(". Did", "; did")
    return text[:1].lower() + text[1:]
