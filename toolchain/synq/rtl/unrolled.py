"""Arrays whose synapses are logic: a pipeline an output, which takes an image a clock.

A synapse adds its value times each bit of its input; the sign bit of a signed input counts
negatively. The bits of one odd value are counted: a negative one is inverted, which costs a
constant, `-b = ~b - 1`, and values that differ by a power of two share a count. The counting is by
columns of equal weight:
- a counter of six bits (three look-up tables) takes three bits off a sum, wherever six are left;
- an adder in the carry chain takes the columns with two to five bits, a look-up table a column.

So a synapse of a 1-bit input costs about one look-up table. What is left of all counts, a few bits
with known weights, goes six at a time through tables of their weighted sum, which also hold the
constant; the tables' values are added up. A zero costs nothing.

Six-input look-up tables with carry chains are those of AMD's 7-series (UG474). Counters that fit
them are known from compressor trees (Parandeh-Afshar, Brisk and Ienne, "Efficient synthesis of
compressor trees on FPGAs", ASP-DAC 2008); those that need vendor primitives are not used.
"""

from dataclasses import dataclass, field
from itertools import groupby

from synq.fixedpoint import FixedPoint, Rounding, signed_width
from synq.network import SynapseArray

_TABLE_INPUTS = 6  # of a look-up table
_COUNTER_INPUTS = 6
_ZERO = "1'b0"
_LINE = 100  # characters


@dataclass(frozen=True)
class Neuron:
    """One output of an array as a pipeline.

    Attributes:
        inputs: (input, bit) of every input bit it needs, in the order of its port `x`.
        depth: cycles from the inputs to the registered sum.
        offset: constant in the sum beyond the accumulator: half a step of the output, to round.
        width: bits of the sum, two's complement.
        body: Verilog from the inputs `x` to the register `sum`.
        luts: look-up tables, as designed: without the rounding.
        ffs: flip-flops, likewise.
    """

    inputs: tuple[tuple[int, int], ...]
    depth: int
    offset: int
    width: int
    body: str
    luts: int
    ffs: int


def unroll(array: SynapseArray, activation: FixedPoint | None, logic_levels: int) -> list[Neuron]:
    """The outputs of an array.

    Args:
        activation: the format of the outputs after the ReLU; None for raw sums.
        logic_levels: counters, adders or tables between two registers.
    """
    shift = rounding_shift(array, activation)
    rounds = activation is not None and activation.rounding is not Rounding.TRN
    offset = 1 << (shift - 1) if rounds and shift > 0 else 0
    return [_neuron(array, j, offset, logic_levels) for j in range(array.n_out)]


def rounding_shift(array: SynapseArray, activation: FixedPoint | None) -> int:
    """Bits by which a sum is shifted right to be an activation."""
    return 0 if activation is None else array.accumulator.fraction - activation.fraction


def _neuron(array: SynapseArray, output: int, offset: int, logic_levels: int) -> Neuron:
    weights: list[int] = array.weights[:, output].tolist()
    constant = offset
    if array.bias_input is not None:
        constant += weights.pop() * array.bias_input
    inputs: list[tuple[int, int]] = []
    heap: dict[int, _Columns] = {}
    sign_bit = array.input_format.width - 1 if array.input_format.signed else None
    added = [
        (number, bit, -weight if bit == sign_bit else weight)
        for number, weight in enumerate(weights)
        if weight
        for bit in range(array.input_format.width)
    ]
    # Negative ones first: their inverters vanish in counters, but not in registers.
    for number, bit, weight in sorted(added, key=lambda each: each[2] >= 0):
        zeros = _zeros(weight)
        columns = heap.setdefault(abs(weight) >> zeros, _Columns())
        columns.add(zeros + bit, f"{'~' if weight < 0 else ''}x[{len(inputs)}]")
        inputs.append((number, bit))
        if weight < 0:
            constant += weight << bit
    builder = _Builder(logic_levels)
    width = builder.build(heap, constant)
    return Neuron(
        tuple(inputs),
        builder.stage,
        offset,
        width,
        "\n".join(builder.text),
        builder.luts,
        builder.ffs,
    )


@dataclass
class _Columns:
    """Bits to be counted, by the binary logarithm of their weight; `limit` is their largest sum."""

    bits: list[list[str]] = field(default_factory=list)
    limit: int = 0

    def add(self, column: int, bit: str) -> None:
        """Another bit, which makes the sum larger."""
        self.limit += 1 << column
        self.put(column, bit)

    def put(self, column: int, bit: str) -> bool:
        """A bit that stands for others; False if it can never be set, within the limit."""
        if 1 << column > self.limit:
            return False
        while len(self.bits) <= column:
            self.bits.append([])
        self.bits[column].append(bit)
        return True


@dataclass(frozen=True)
class _Row:
    """A number: `name` times 2**shift.

    Attributes:
        limit: its largest value; None if it is part of a two's complement, modulo 2**width.
    """

    name: str
    width: int
    shift: int
    limit: int | None


class _Builder:
    """Writes a pipeline, level by level."""

    def __init__(self, logic_levels: int) -> None:
        self.text: list[str] = []
        self.stage = 0
        self.luts = 0
        self.ffs = 0
        self._logic_levels = logic_levels
        self._level = 0
        self._names = 0
        self._unused: list[str] = []

    def build(self, heap: dict[int, _Columns], constant: int) -> int:
        """Everything from the bits of each odd value to the register `sum`; its width."""
        high = constant + sum(value * columns.limit for value, columns in heap.items())
        width = signed_width(constant, high)
        while self._count(list(heap.values())):
            if self._level_ends():
                self._register_bits(list(heap.values()))
        rows = self._tables(
            sorted(
                (value << column, bit)
                for value, columns in heap.items()
                for column, bits in enumerate(columns.bits)
                for bit in bits
            ),
            constant,
            width,
        )
        while len(rows) > 1:
            if self._level_ends():
                rows = self._register_rows(rows)
            left = rows[len(rows) & ~1 :]
            rows = [
                self._add(low, high, width)
                for low, high in zip(rows[::2], rows[1::2], strict=False)
            ] + left
        self._register_sum(rows, constant, width)
        if self._unused:
            self.text.append(f"wire unused = &{concat([*self._unused, _ZERO])};")
        return width

    # ---- Counting.

    def _count(self, groups: list[_Columns]) -> bool:
        """A level of counters and adders; whether there is any."""
        sixes: list[list[str]] = [[] for _ in range(_COUNTER_INPUTS)]
        counted: list[tuple[_Columns, int]] = []  # a counter each: where its bits come from
        results: list[tuple[_Columns, int, str]] = []
        for columns in groups:
            if max((len(bits) for bits in columns.bits), default=0) < _COUNTER_INPUTS:
                results += [(columns, column, bit) for column, bit in self._adders(columns.bits)]
                continue
            for column, bits in enumerate(columns.bits):
                count = len(bits) // _COUNTER_INPUTS
                for six in sixes:  # neighbours stay neighbours: slices are shorter than bits
                    six += bits[:count]
                    del bits[:count]
                counted += [(columns, column)] * count
        if counted:
            count = len(counted)
            name = self._new("counts", 3 * count)
            self.luts += 3 * count
            self.text += [
                f"synq_counters #(.COUNT({count})) {name}_of (",
                f"    .bits({concat([bit for six in sixes for bit in six])}),",
                f"    .counts({name})",
                ");",
            ]
            for i in range(3):
                results += [
                    (columns, column + i, f"{name}[{i * count + number}]")
                    for number, (columns, column) in enumerate(counted)
                ]
        for columns, column, bit in results:
            if not columns.put(column, bit):
                self._unused.append(bit)
        return bool(results)

    def _adders(self, columns: list[list[str]]) -> list[tuple[int, str]]:
        """Take pairs of bits from neighbouring columns; the columns and bits of the sums."""
        results: list[tuple[int, str]] = []
        low = 0
        while low < len(columns):
            high = low
            while high < len(columns) and len(columns[high]) >= 2:
                high += 1
            carry = len(columns[low]) >= 3
            if high - low + carry < 2:  # takes as many bits as it gives
                low += 1
                continue
            run = columns[low:high]
            operands = [concat([bits.pop(0) for bits in run]) for _ in range(2)]
            name = self._new("sum", high - low + 1)
            self.luts += high - low
            self.text += [
                f"synq_adder #(.WIDTH({high - low}), .CARRY({carry:d})) {name}_of (",
                f"    .a({operands[0]}),",
                f"    .b({operands[1]}),",
                f"    .carry({run[0].pop(0) if carry else _ZERO}), .sum({name})",
                ");",
            ]
            results += [(low + i, f"{name}[{i}]") for i in range(high - low + 1)]
        return results

    # ---- Weighing.

    def _tables(self, bits: list[tuple[int, str]], constant: int, width: int) -> list[_Row]:
        """The weighted bits and the constant as rows; the last one is signed."""
        chunks = [bits[i : i + _TABLE_INPUTS] for i in range(0, len(bits), _TABLE_INPUTS)]
        shifts = [min(_zeros(weight) for weight, _ in chunk) for chunk in chunks]
        # The last row's own zeros stay: what the constant has below them goes to the first row.
        below = constant & ((1 << shifts[-1]) - 1) if len(chunks) > 1 else 0
        rows = []
        for number, (chunk, shift) in enumerate(zip(chunks, shifts, strict=True)):
            last = number == len(chunks) - 1
            start = constant - below if last else below if number == 0 else 0
            shift = min(shift, _zeros(start)) if start else shift
            values = [start]
            for weight, _ in chunk:
                values += [value + weight for value in values]
            size = width - shift if last else (values[-1] >> shift).bit_length()
            kept = [(value >> shift) & ((1 << size) - 1) for value in values]
            for place in range(size if len(chunk) > 1 else 0):
                self.luts += len({value >> place & 1 for value in kept}) > 1
            literals = [f"{size}'d{value}" for value in kept]
            name = self._new("part", size)
            self.text += [
                f"synq_table #(.INPUTS({len(chunk)}), .WIDTH({size})) {name}_of (",
                f"    .values({concat(literals)}),",
                f"    .index({concat([bit for _, bit in chunk])}), .value({name})",
                ");",
            ]
            rows.append(_Row(name, size, shift, None if last else values[-1]))
        return rows

    def _add(self, a: _Row, b: _Row, width: int) -> _Row:
        low, high = (a, b) if a.shift <= b.shift else (b, a)
        limit = None if a.limit is None or b.limit is None else a.limit + b.limit
        size = (width if limit is None else limit.bit_length()) - low.shift
        apart = high.shift - low.shift  # the lowest bits have no partner
        if low.width <= apart:
            name = self._new("both", size)
            gap = [_ZERO] * (apart - low.width)
            self.text.append(f"assign {name} = {concat([low.name, *gap, high.name])};")
            return _Row(name, size, low.shift, limit)
        upper = size - apart
        name = self._new("upper", upper)
        self.luts += upper
        first = low.name if not apart else f"{low.name}[{low.width - 1}:{apart}]"
        first, second = (
            _padded(first, low.width - apart, upper),
            _padded(high.name, high.width, upper),
        )
        self.text.append(f"assign {name} = {first} + {second};")
        if apart:
            upper_name, name = name, self._new("both", size)
            self.text.append(f"assign {name} = {{{upper_name}, {low.name}[{apart - 1}:0]}};")
        return _Row(name, size, low.shift, limit)

    # ---- Registers.

    def _level_ends(self) -> bool:
        """Whether registers are due."""
        self._level = (self._level + 1) % self._logic_levels
        return self._level == 0

    def _register_bits(self, groups: list[_Columns]) -> None:
        self.stage += 1
        name = f"bits_{self.stage}"
        kept = [bit for columns in groups for bits in columns.bits for bit in bits]
        number = 0
        for columns in groups:
            for bits in columns.bits:
                bits[:] = [f"{name}[{number + i}]" for i in range(len(bits))]
                number += len(bits)
        self._register(name, len(kept), concat(kept))

    def _register_rows(self, rows: list[_Row]) -> list[_Row]:
        self.stage += 1
        registered = []
        for number, row in enumerate(rows):
            name = f"row_{self.stage}_{number}"
            self._register(name, row.width, row.name)
            registered.append(_Row(name, row.width, row.shift, row.limit))
        return registered

    def _register_sum(self, rows: list[_Row], constant: int, width: int) -> None:
        self.stage += 1
        if rows:
            row = rows[0]
            total = concat([*[_ZERO] * row.shift, _padded(row.name, row.width, width - row.shift)])
        else:
            total = f"{width}'h{constant & ((1 << width) - 1):x}"
        self._register("sum", width, total)

    def _register(self, name: str, width: int, value: str) -> None:
        self.ffs += width
        self.text += [f"reg [{width - 1}:0] {name};", f"always @(posedge clk) {name} <= {value};"]

    def _new(self, kind: str, width: int) -> str:
        """A new wire."""
        name = f"{kind}_{self._names}"
        self._names += 1
        self.text.append(f"wire [{width - 1}:0] {name};")
        return name


def _zeros(number: int) -> int:
    """Zero bits below the lowest one of a number that is not zero."""
    return (number & -number).bit_length() - 1


def _padded(name: str, width: int, wanted: int) -> str:
    return name if wanted == width else f"{{{wanted - width}'b0, {name}}}"


def concat(bits: list[str]) -> str:
    """A Verilog concatenation of `bits`, the first one lowest, in lines of bearable length."""
    pieces: list[str] = []
    for name, run in groupby(enumerate(reversed(bits)), key=_run):
        places = [bit for _, bit in run]
        high, low = (_place(bit) for bit in (places[0], places[-1]))
        pieces.append(places[0] if len(places) == 1 else f"{name[0]}[{high}:{low}]")
    if len(pieces) == 1:
        return pieces[0]
    lines, line = [], "{"
    for number, piece in enumerate(pieces):
        piece += "}" if number == len(pieces) - 1 else ", "
        if len(line) + len(piece) > _LINE - 8:
            lines.append(line.rstrip())
            line = "    "
        line += piece
    return "\n".join([*lines, line])


def _run(numbered: tuple[int, str]) -> tuple[str, int]:
    """What falling neighbours of one vector have in common."""
    number, bit = numbered
    place = _place(bit)
    return (bit, -1 - number) if place is None else (bit.split("[")[0], number + place)


def _place(bit: str) -> int | None:
    """The number of a bit `name[number]`."""
    return int(bit[:-1].split("[")[1]) if bit.endswith("]") else None
