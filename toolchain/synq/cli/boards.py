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
        ["name", "part", "clock ns", "LUT", "FF", "BRAM 18K", "DSP", "URAM"],
        [
            [
                board.name,
                board.part,
                f"{board.clock_ns:g}",
                f"{board.resources.lut:,}",
                f"{board.resources.ff:,}",
                f"{board.resources.bram_18k:,}",
                f"{board.resources.dsp:,}",
                f"{board.resources.uram:,}",
            ]
            for board in known
        ],
    )
    console.say("The source of each number is in the board's file; --json prints them.")
