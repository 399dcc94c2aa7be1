"""The designs of the HLS core that are worth a look."""

from collections.abc import Iterator

from synq.cost import TYPICAL_EVENTS, Estimate, Resources
from synq.errors import SynqError
from synq.hls.design import ArrayPlan, HlsDesign
from synq.hls.estimate import estimate_layer, total
from synq.hls.layout import fills_tiles
from synq.network import QuantizedNetwork, SynapseArray
from synq.request import BUDGET, MOST_ROWS, Datapath, Request

_HLS_DATAPATHS = (Datapath.DECODE, Datapath.BANK, Datapath.BUCKETS)


_MOST_LANES = 4096  # HLS unrolls no further


_MOST_WORD_BITS = 65_536  # HLS reshapes no further


_MOST_PENDING = 1024  # bits of an ap_uint, unless AP_INT_MAX_W says more (UG1399)


def hls_designs(
    network: QuantizedNetwork, available: Resources, request: Request
) -> Iterator[tuple[HlsDesign, Estimate]]:
    """Designs whose other arrays do not hold up one, the first, as far as there are any.

    Of a convolutional network it is the one with most to do, rows times places, unless the rows of
    the first are asked for.

    Args:
        available: resources of the board.

    Raises:
        SynqError: no design can be built.
    """
    leading = 0 if network.dense or request.fixes_rows else _busiest(network)
    other = Request(datapath=request.datapath, event_driven=request.event_driven)
    options = [
        [
            (plan, estimate_layer(network, index, plan))
            for plan in _array_plans(array, available, request if index == leading else other)
        ]
        for index, array in enumerate(network.arrays)
    ]
    for ahead in options[leading]:
        interval = ahead[1].interval // (TYPICAL_EVENTS if request.event_driven else 1)
        chosen = [
            ahead if index == leading else _balanced(choices, available, interval)
            for index, choices in enumerate(options)
        ]
        yield HlsDesign(tuple(plan for plan, _ in chosen)), total(tuple(cost for _, cost in chosen))


def _busiest(network: QuantizedNetwork) -> int:
    work = [
        geometry.n_places * array.n_rows
        for geometry, array in zip(network.geometries, network.arrays, strict=True)
    ]
    return work.index(max(work))


def _balanced(
    options: list[tuple[ArrayPlan, Estimate]], available: Resources, interval: int
) -> tuple[ArrayPlan, Estimate]:
    """The smallest plan of an array that does not take longer, or else the fastest."""
    fast = [option for option in options if option[1].interval <= interval]
    if not fast:
        return min(options, key=lambda option: option[1].interval)
    return min(fast, key=lambda option: option[1].resources.share(available))


def _array_plans(array: SynapseArray, available: Resources, request: Request) -> list[ArrayPlan]:
    """Every plan of an array that HLS can build, one a number of blocks."""
    if (asked := request.rows_of(array)) is not None:
        counts = [min(asked, array.n_rows)]
    else:  # the fewest rows of each number of blocks
        counts = sorted({-(-array.n_rows // blocks) for blocks in range(1, array.n_rows + 1)})
        if array.converter is not None and len(array.tiles) > 1:
            most = array.converter.tile_rows
            counts = [rows for rows in range(1, most + 1) if most % rows == 0]
    plans: list[ArrayPlan] = []
    for rows in counts:
        word_bits = 32 * -(-array.n_out // (32 // array.code_bits))
        if not fills_tiles(array, rows):
            raise SynqError(
                f"{rows} rows a cycle do not fill the array's tiles: use as many as divide "
                "the rows of a tile",
                settings=("rows", "tile"),
            )
        if rows > MOST_ROWS or rows * array.n_out > _MOST_LANES or word_bits > _MOST_WORD_BITS:
            continue
        if request.event_driven and -(-array.n_rows // rows) > _MOST_PENDING:
            continue
        for datapath in [request.datapath] if request.datapath else _HLS_DATAPATHS:
            decoded = [0]
            if datapath is Datapath.DECODE:
                decoded = [rows]
            elif datapath is Datapath.BANK:
                # DSPs carry as many rows as the budget allows, or none.
                affordable = int(BUDGET * available.dsp) // array.n_out
                decoded = sorted({0, min(rows - 1, affordable), min(rows - 1, affordable // 2)})
            plans += [ArrayPlan(datapath, rows, count, request.event_driven) for count in decoded]
    if not plans:
        raise SynqError(
            f"no design of an array of {array.n_rows} x {array.n_out} can be built: "
            f"at most {MOST_ROWS} rows and {_MOST_LANES} lanes (rows x outputs) a cycle; "
            "use fewer rows, or a smaller network",
            settings=("rows",),
        )
    return plans
