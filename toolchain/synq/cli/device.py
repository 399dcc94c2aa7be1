"""`synq device fit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from synq.cli import console, options
from synq.errors import UsageError

if TYPE_CHECKING:
    from synq.device_fit import DeviceFit, Estimate

_COLUMNS = "Columns, where the header does not tell"


def fit(
    pulses: Annotated[Path, typer.Argument(help="A .csv of conductances after each pulse.")],
    output: Annotated[
        Path, typer.Option(help="The device's file, .toml; the figure is put beside it.")
    ],
    unit: Annotated[
        Literal["S", "mS", "uS", "nS", "A", "uA", "nA", "normalized"] | None,
        typer.Option(help="Of the numbers; what the header says, or S, without."),
    ] = None,
    read_voltage: Annotated[
        float | None, typer.Option(help="Volts that currents were read at.", metavar="<float>")
    ] = None,
    g_min: Annotated[
        float | None,
        typer.Option(help="Siemens of the lowest state, of normalized data.", metavar="<float>"),
    ] = None,
    g_max: Annotated[
        float | None,
        typer.Option(help="Siemens of the highest state, of normalized data.", metavar="<float>"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the device; the file's without.")] = None,
    measured_points: Annotated[
        bool,
        typer.Option(
            "--measured-points", help="Let the points themselves be the device.", metavar=""
        ),
    ] = False,
    pulse_column: Annotated[
        str | None, typer.Option(help="Of pulse numbers.", rich_help_panel=_COLUMNS)
    ] = None,
    conductance_column: Annotated[
        str | None, typer.Option(help="Of conductances.", rich_help_panel=_COLUMNS)
    ] = None,
    cell_column: Annotated[
        str | None, typer.Option(help="Of the cell's name.", rich_help_panel=_COLUMNS)
    ] = None,
    cycle_column: Annotated[
        str | None, typer.Option(help="Of the cycle.", rich_help_panel=_COLUMNS)
    ] = None,
    branch_column: Annotated[
        str | None, typer.Option(help="Of the branch: ltp or ltd.", rich_help_panel=_COLUMNS)
    ] = None,
    as_json: options.JsonOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Fit a device to measured pulse trains: curves, window, and how cells spread."""
    console.start_logging(verbose)
    if output.suffix != ".toml":
        raise UsageError(f"--output must end in .toml, got {output}")
    options.check_output_file(output)
    from dataclasses import asdict

    from synq.device import Branch
    from synq.device_fit import fit_file
    from synq.files import atomic_write
    from synq.pulses import Columns, Unit
    from synq.report.fit_figures import render_fit

    shown = console.progress(as_json)
    with shown.task("Fit the device"):
        fitted = fit_file(
            pulses,
            name or output.stem,
            Columns(pulse_column, conductance_column, cell_column, cycle_column, branch_column),
            None if unit is None else Unit(unit),
            read_voltage,
            g_min,
            g_max,
            measured_points,
        )
    result = fitted.fit
    with shown.task("Draw the fit"):
        figures = render_fit(fitted.traces, result, fitted.device)
    atomic_write(output, fitted.to_toml().encode())
    for kind in ("png", "svg"):
        atomic_write(output.with_suffix(f".{kind}"), figures[f"fit.{kind}"])
    if as_json:
        console.print_json(
            {
                "unit": fitted.unit.value,
                "branches": {
                    branch.value: asdict(curve) for branch, curve in result.branches.items()
                },
                "device_to_device": _json(result.device_to_device),
                "cycle_to_cycle": _json(result.cycle_to_cycle),
                "output": str(output.resolve()),
            }
        )
        return
    _print(result, fitted.unit.value)
    if Branch.LTD not in result.branches or Branch.LTP not in result.branches:
        console.say("One branch was measured: the other is taken as its mirror image.")
    console.say(f"[bold]Written:[/] {escape(str(output))}, and its figure beside it")
    console.say(f"[bold]Next:[/] synq quantize --device {console.quoted(output)}")


def _json(estimate: "Estimate | None") -> Any:
    from dataclasses import asdict

    return None if estimate is None else asdict(estimate)


def _print(result: "DeviceFit", unit: str) -> None:
    rows = []
    for branch, curve in result.branches.items():
        rows.append(
            [
                branch.value.upper(),
                str(curve.traces),
                str(curve.states),
                *map(_shown, (curve.g_min, curve.g_max, curve.nonlinearity)),
                f"{100 * curve.residual:.2f} %",
            ]
        )
    console.print_table(
        f"Fit, with 99 % intervals ({unit if unit == 'normalized' else 'siemens'})",
        ["branch", "traces", "states", "g_min", "g_max", "nonlinearity", "residual"],
        rows,
    )
    for words, estimate in (
        ("device to device", result.device_to_device),
        ("cycle to cycle", result.cycle_to_cycle),
    ):
        if estimate is None:
            console.say(f"{words}: too few traces or pulses to tell")
        else:
            console.say(
                f"{words}: {100 * estimate.value:.2f} % "
                f"({100 * estimate.low:.2f} to {100 * estimate.high:.2f})"
            )


def _shown(estimate: "Estimate") -> str:
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"
