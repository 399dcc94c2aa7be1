"""`synq devices`."""

from synq.cli import console, options


def devices(as_json: options.JsonOption = False) -> None:
    """List the synaptic devices: states, nonlinearity and conductance window."""
    from dataclasses import asdict

    from synq.device import device_names, load_device

    known = [load_device(name) for name in device_names()]
    if as_json:
        console.print_json({"devices": [asdict(device) for device in known]})
        return
    console.print_table(
        "Synaptic devices",
        ["name", "states", "LTP nonlinearity", "LTD nonlinearity", "Gmin nS", "Gmax nS"],
        [
            [
                device.name,
                str(device.states),
                f"{device.nonlinearity_ltp:+.2f}",
                f"{device.nonlinearity_ltd:+.2f}",
                f"{device.g_min * 1e9:.4g}",
                f"{device.g_max * 1e9:.4g}",
            ]
            for device in known
        ],
    )
