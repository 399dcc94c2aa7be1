"""`synq boards`."""

from synq.cli import console, options


def boards(as_json: options.JsonOption = False) -> None:
    """List the boards: part, clock and resources."""
    from dataclasses import asdict

    from synq.board import board_names, load_board

    known = [load_board(name) for name in board_names()]
    if as_json:
        console.print_json({"boards": [asdict(board) for board in known]})
        return
    console.print_table(
        "Boards",
        ["name", "part", "MHz", "LUT", "FF", "BRAM 18K", "DSP"],
        [
            [
                board.name,
                board.part,
                f"{1000 / board.clock_ns:.4g}",
                f"{board.resources.lut:,}",
                f"{board.resources.ff:,}",
                f"{board.resources.bram_18k:,}",
                f"{board.resources.dsp:,}",
            ]
            for board in known
        ],
    )
    console.say("--json prints more of each board, and where each number is published.")
