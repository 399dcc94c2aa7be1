"""`synq devices`."""

from synq.cli import console, options


def devices(as_json: options.JsonOption = False) -> None:
    """List the synaptic devices: states, nonlinearity and conductance window."""
    from dataclasses import asdict

    from synq.device import Branch, device_names, load_device

    known = [load_device(name) for name in device_names()]
    if as_json:
        console.print_json({"devices": [asdict(device) for device in known]})
        return
    console.print_table(
        "Synaptic devices",
        ["name", "states", "LTP label", "LTD label", "Gmin nS", "Gmax nS"],
        [
            [
                device.name,
                str(device.count_of_states(Branch.LTP)),
                f"{device.nonlinearity_ltp:+.2f}",
                f"{device.nonlinearity_ltd:+.2f}",
                _nanosiemens(device.g_min),
                _nanosiemens(device.g_max),
            ]
            for device in known
        ],
    )
    console.say("A label is NeuroSim's nonlinearity of a branch: 0 is a straight line.")
    console.say("--json prints where each number is published.")


def _nanosiemens(siemens: float) -> str:
    return f"{float(f'{siemens * 1e9:.4g}'):,.10g}"
