"""Arrays whose synapses are logic: a pipeline an output, which takes an image a clock.

A synapse adds its value times each bit of its input; the sign bit of a signed input counts
negatively. The bits of one odd value are counted: a negative one is inverted, which costs a
constant, `-b = ~b - 1`, and values that differ by a power of two share a count.

The counting is by columns of equal weight, with adders in the carry chain. An adder's look-up
table has six inputs: one bit as it is, and five for whatever is added to it. So three of them add
the count of five bits (three bits, which cost nothing of their own) to a bit in each of their
columns, and to a carry in: nine bits become four.

What is left of all counts, a few bits with known weights, goes through tables of their weighted
sum, which also hold the constant: six bits through the first one, then five at a time through
tables that vanish in adders likewise. A zero costs nothing.

Six-input look-up tables with carry chains are those of AMD's 7-series (UG474). Counters that fit
them are known from compressor trees (Parandeh-Afshar, Brisk and Ienne, "Efficient synthesis of
compressor trees on FPGAs", ASP-DAC 2008); those that need vendor primitives are not used: synthesis
merges what is written as logic beside an addition.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from synq.fixedpoint import FixedPoint, Rounding, signed_width
from synq.network import SynapseArray

_TABLE_INPUTS = 6  # of a look-up table
_ADDED_INPUTS = 5  # of one that also adds another bit to what it looks up
_COUNTED, _DOUBLED = 5, 2  # bits of a counter, and how many may count twice
# Bits taken off a sum for a look-up table: first what takes more, at last what a table would cost.
_WORTH = (4 / 3, 1, 1 / 2)
SHORTEST_SRL = 3
"""Registers in a row from which on synthesis makes them a look-up table's shift register."""
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
        srls: further ones, as shift registers of bits that wait.
        ffs: flip-flops, likewise.
    """

    inputs: tuple[tuple[int, int], ...]
    depth: int
    offset: int
    width: int
    body: str
    luts: int
    srls: int
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
    # Negative ones first: their inverters vanish in counters, but not beside them in a chain.
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
        builder.srls,
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


@dataclass(frozen=True, eq=False)
class _Counter:
    """Bits to be counted into three bits, at column `at` of a chain: those of `synq_counters`.

    Attributes:
        width: bits of the count that can be set.
        bits: five, of which the last `doubled` count twice.
    """

    at: int
    width: int
    bits: list[str]
    doubled: int


@dataclass(frozen=True, eq=False)
class _Chain:
    """An adder in the carry chain: `a` and what is counted, or plain, beside it.

    Attributes:
        low: the column of its lowest bit.
        plain: columns, from `low` on, and bits that are added as they are.
        carries: whether its highest bit can be set.
    """

    low: int
    a: list[str]
    counters: list[_Counter]
    plain: list[tuple[int, str]]
    carry: str
    carries: bool


@dataclass(frozen=True)
class _Segment:
    """Some columns of a chain: how many bits it takes, by what they are for.

    Attributes:
        counted, doubled: of the lowest column and the next one, that are counted.
        a: of each column, beside what is counted: 0 or 1.
        plain: whether one of the lowest column, not counted, is added to that.
    """

    counted: int
    doubled: int
    a: tuple[int, ...]
    plain: bool = False

    @property
    def removed(self) -> int:
        """Bits that there are less, without a carry in or out."""
        return self.counted + self.doubled + sum(self.a) + self.plain - len(self.a)

    @property
    def most(self) -> int:
        """The largest sum, in units of the lowest column."""
        a = sum(bit << i for i, bit in enumerate(self.a))
        return self.counted + 2 * self.doubled + a + self.plain


def _take_chains(columns: list[list[str]], worth: float) -> list[_Chain]:
    """Chains that take at least `worth` bits off a sum for each look-up table."""
    chains = []
    for low in range(len(columns)):
        while segments := _segments([len(bits) for bits in columns[low:]], worth):
            chains.append(_taken(columns, low, segments))
    return chains


def _segments(heights: list[int], worth: float) -> list[_Segment]:
    """A chain from the lowest column on; none if it is not worth its look-up tables."""
    segments: list[_Segment] = []
    removed, column, most = 0, 0, 0
    while heights[column:]:
        left = [*heights[column:], 0, 0]
        best = max(_candidates(*left[:3]), key=_gain)
        carry = not segments and left[0] > best.counted + best.a[0] + best.plain
        if segments and best.removed < worth * len(best.a):
            break
        segments.append(best)
        removed += best.removed + carry
        most += (best.most + carry) << column
        column += len(best.a)
    carries = bool(most >> column)
    return segments if removed - carries >= worth * column and removed > carries else []


def _gain(segment: _Segment) -> tuple[float, int]:
    """What to prefer: bits less for a look-up table; of equals the longer."""
    return segment.removed / len(segment.a), len(segment.a)


def _candidates(here: int, next_one: int, third: int) -> list[_Segment]:
    """What may be done with columns of so many bits."""
    found = [_Segment(0, 0, (int(here > 0),), here > 1)]
    if here >= 3:
        found.append(_Segment(3, 0, (int(here > 3), int(next_one > 0))))
    for counted, doubled in ((5, 0), (4, 0), (3, 2), (3, 1), (2, 2), (1, 2)):
        if counted <= here and doubled <= next_one:
            a = (int(here > counted), int(next_one > doubled), int(third > 0))
            found.append(_Segment(counted, doubled, a))
    return found


def _taken(columns: list[list[str]], low: int, segments: list[_Segment]) -> _Chain:
    """The chain of these segments, its bits taken from `columns`."""
    a: list[str] = []
    counters: list[_Counter] = []
    plain: list[tuple[int, str]] = []
    most, carry = 0, _ZERO
    for segment in segments:
        at = len(a)
        here = columns[low + at]
        if segment.counted:
            ones = _cut(here, segment.counted)
            twos = _cut(columns[low + at + 1], segment.doubled) if segment.doubled else []
            doubled = _DOUBLED if twos else 0
            ones += [_ZERO] * (_COUNTED - doubled - len(ones))
            twos += [_ZERO] * (doubled - len(twos))
            counters.append(_Counter(at, len(segment.a), ones + twos, doubled))
        elif segment.plain:
            plain.append((at, here.pop(0)))
        most += segment.most << at
        for i, bit in enumerate(segment.a):
            a.append(columns[low + at + i].pop() if bit else _ZERO)
        if not at and here:
            carry = here.pop()
            most += 1
    return _Chain(low, a, counters, plain, carry, bool(most >> len(a)))


def _cut(bits: list[str], count: int) -> list[str]:
    taken = bits[:count]
    del bits[:count]
    return taken


class _Builder:
    """Writes a pipeline, level by level."""

    def __init__(self, logic_levels: int) -> None:
        self.text: list[str] = []
        self.stage = 0
        self.luts = 0
        self.srls = 0
        self.ffs = 0
        self._waited: dict[str, int] = {}  # registers in a row that a bit comes from
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
                self._register_columns(list(heap.values()))
        row = self._weigh(
            sorted(
                (value << column, bit)
                for value, columns in heap.items()
                for column, bits in enumerate(columns.bits)
                for bit in bits
            ),
            constant,
            width,
        )
        self._register_sum(row, constant, width)
        if self._unused:
            self.text.append(f"wire unused = &{concat([*self._unused, _ZERO])};")
        return width

    # ---- Counting.

    def _count(self, groups: list[_Columns]) -> bool:
        """A level of chains, those that take most bits off a sum; whether there is any."""
        for worth in _WORTH:
            chains = [
                (columns, chain)
                for columns in groups
                for chain in _take_chains(columns.bits, worth)
            ]
            if chains:
                self._add_chains(chains)
                return True
        return False

    def _add_chains(self, chains: list[tuple[_Columns, _Chain]]) -> None:
        places = self._counters([each for _, chain in chains for each in chain.counters])
        for columns, chain in chains:
            width = len(chain.a)
            b = [_ZERO] * width
            for counter in chain.counters:
                count = next(places)
                b[counter.at : counter.at + counter.width] = count[: counter.width]
                self._unused += count[counter.width :]
            for column, bit in chain.plain:
                b[column] = bit
            self.luts += width + sum(bit.startswith("~") for bit in [*chain.a, chain.carry])
            name = self._new("sum", width + 1)
            self.text += [
                f"synq_adder #(.WIDTH({width})) {name}_of (",
                f"    .a({concat(chain.a)}),",
                f"    .b({concat(b)}),",
                f"    .carry({chain.carry}), .sum({name})",
                ");",
            ]
            for i in range(width + 1):
                bit = f"{name}[{i}]"
                if (i == width and not chain.carries) or not columns.put(chain.low + i, bit):
                    self._unused.append(bit)

    def _counters(self, counters: list[_Counter]) -> Iterator[list[str]]:
        """The bits of each count, in order."""
        names: dict[int, list[str]] = {}
        for doubled in (0, _DOUBLED):
            some = [each for each in counters if each.doubled == doubled]
            if not some:
                continue
            count = len(some)
            name = self._new("counts", 3 * count)
            self.text += [
                f"synq_counters #(.COUNT({count}), .DOUBLED({doubled})) {name}_of (",
                f"    .bits({concat([each.bits[i] for i in range(_COUNTED) for each in some])}),",
                f"    .counts({name})",
                ");",
            ]
            for number, each in enumerate(some):
                names[id(each)] = [f"{name}[{i * count + number}]" for i in range(3)]
        return iter([names[id(each)] for each in counters])

    # ---- Weighing.

    def _weigh(self, bits: list[tuple[int, str]], constant: int, width: int) -> _Row | None:
        """The sum of weighted bits and the constant; None without bits.

        A table's values are added to what the ones before make in the same look-up tables: an
        adder's has room for five bits beside the bit that it adds to.
        """
        first = _TABLE_INPUTS
        chunks = [bits[:first]] if bits else []
        chunks += [bits[i : i + _ADDED_INPUTS] for i in range(first, len(bits), _ADDED_INPUTS)]
        waiting = bits[first:]
        shifts = [min(_zeros(weight) for weight, _ in chunk) for chunk in chunks]
        # The last row's own zeros stay: what the constant has below them goes to the first row.
        below = constant & ((1 << shifts[-1]) - 1) if len(chunks) > 1 else 0
        # Tables between take one off, which the first one gives, to be as wide as the sum: Yosys
        # gives the carries the narrower operand, which must not be the table.
        given = sum(1 << shift for shift in shifts[1:-1])
        row = None
        for number in range(len(chunks)):
            if row is not None and self._level_ends():
                row, waiting = self._register_row(row, waiting)
            chunk = waiting[:_ADDED_INPUTS] if row is not None else chunks[0]
            last = number == len(chunks) - 1
            start, size = below + given, None
            if last:
                start, size = constant - below, width
            elif row is not None:
                start = -1 << shifts[number]
                assert row.limit is not None
                size = (row.limit + start + sum(weight for weight, _ in chunk)).bit_length()
            table = self._table(chunk, shifts[number], start, size)
            if last:
                table = replace(table, limit=None)
            if row is None:
                self.luts += table.width
                row = table
            else:
                del waiting[:_ADDED_INPUTS]
                row = self._add(row, table, width)
        return row

    def _table(
        self, chunk: list[tuple[int, str]], shift: int, start: int, width: int | None
    ) -> _Row:
        """The sum of a few weighted bits and a constant; of `width` bits it wraps around."""
        shift = min(shift, _zeros(start)) if start else shift
        values = [start]
        for weight, _ in chunk:
            values += [value + weight for value in values]
        size = (values[-1] >> shift).bit_length() if width is None else width - shift
        kept = [(value >> shift) & ((1 << size) - 1) for value in values]
        literals = [f"{size}'d{value}" for value in kept]
        name = self._new("part", size)
        self.text += [
            f"synq_table #(.INPUTS({len(chunk)}), .WIDTH({size})) {name}_of (",
            f"    .values({concat(literals)}),",
            f"    .index({concat([bit for _, bit in chunk])}), .value({name})",
            ");",
        ]
        return _Row(name, size, shift, values[-1])

    def _add(self, row: _Row, table: _Row, width: int) -> _Row:
        low, high = (row, table) if row.shift <= table.shift else (table, row)
        limit = None if row.limit is None or table.limit is None else row.limit + table.limit
        size = (width if limit is None else limit.bit_length()) - low.shift
        apart = high.shift - low.shift  # the lowest bits have no partner
        if low is table:
            self.luts += min(apart, low.width)
        if low.width <= apart:
            name = self._new("both", size)
            gap = [_ZERO] * (apart - low.width)
            self.text.append(f"assign {name} = {concat([low.name, *gap, high.name])};")
            return _Row(name, size, low.shift, limit)
        upper = size - apart
        name = self._new("upper", upper)
        self.luts += upper
        parts = {
            low.name: _padded(
                low.name if not apart else f"{low.name}[{low.width - 1}:{apart}]",
                low.width - apart,
                upper,
            ),
            high.name: _padded(high.name, high.width, upper),
        }
        # The row first: the carry chain needs its bits as they are, the table's vanish in the sum.
        self.text.append(f"assign {name} = {parts[row.name]} + {parts[table.name]};")
        if apart:
            upper_name, name = name, self._new("both", size)
            self.text.append(f"assign {name} = {{{upper_name}, {low.name}[{apart - 1}:0]}};")
        return _Row(name, size, low.shift, limit)

    # ---- Registers.

    def _level_ends(self) -> bool:
        """Whether registers are due."""
        self._level = (self._level + 1) % self._logic_levels
        return self._level == 0

    def _register_columns(self, groups: list[_Columns]) -> None:
        every = [bits for columns in groups for bits in columns.bits]
        names = iter(self._register_bits([bit for bits in every for bit in bits]))
        for bits in every:
            bits[:] = [next(names) for _ in bits]

    def _register_row(
        self, row: _Row, waiting: list[tuple[int, str]]
    ) -> tuple[_Row, list[tuple[int, str]]]:
        names = self._register_bits([bit for _, bit in waiting])
        name = f"row_{self.stage}"
        self._register(name, row.width, row.name)
        kept = [(weight, bit) for (weight, _), bit in zip(waiting, names, strict=True)]
        return replace(row, name=name), kept

    def _register_bits(self, bits: list[str]) -> list[str]:
        """Another stage, with a register of `bits`; their names in it.

        Inverted ones are inverted behind it: before it that would take look-up tables.
        """
        self.stage += 1
        name = f"bits_{self.stage}"
        registered = [bit.removeprefix("~") for bit in bits]
        self._register(name, len(bits), concat(registered))
        waited = [self._waited.get(bit, 0) + 1 for bit in registered]
        self._waited = {f"{name}[{i}]": count for i, count in enumerate(waited)}
        shifted = waited.count(SHORTEST_SRL)
        self.srls += shifted
        self.ffs -= SHORTEST_SRL * shifted + sum(count > SHORTEST_SRL for count in waited)
        return [f"{'~' * bit.startswith('~')}{name}[{i}]" for i, bit in enumerate(bits)]

    def _register_sum(self, row: _Row | None, constant: int, width: int) -> None:
        self.stage += 1
        if row is not None:
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
