"""The quantized network: integers only, the one source every other view derives from."""

import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.errors import SynqError
from synq.fixedpoint import FixedPoint, Overflow, Rounding, requantize, signed_width
from synq.geometry import DENSE, Geometry, Shape, check_chain
from synq.npz import Member, read_npz
from synq.read_noise import ReadNoise

# Products of integers in floating point are exact while no partial sum needs more bits than the
# significand has (IEEE 754): then BLAS may add in any order.
_FLOAT32_EXACT = 1 << 24
_FLOAT64_EXACT = 1 << 53

# What a file of a network may hold.
_MAX_HEADER_BYTES = 1 << 20
_MAX_BYTES = 128 << 20

# Values that a convolution sees at once, of as many images as there is room for: they fit the
# processor's cache, and the sums are not slower for it.
_VALUES_AT_ONCE = 1 << 22
_SUMS_AT_ONCE = 1 << 23  # of all layers, where only the last one's are kept
_HEADER = Member("u", "bytes", (1, 1))
_CODES = Member("u", "a matrix of uint8", (2, 2))
_CODEBOOK = Member("i", "a vector of int64", (1, 1))


@dataclass(frozen=True)
class Converter:
    """What reads the columns of an array's tiles: an analog-to-digital converter at each one's end.

    A tile holds `tile_rows` rows, the last one what is left. Each of its sums is converted on its
    own, and the results are added digitally.

    Attributes:
        tile_rows: at least 1; the bias row counts.
        format: what a tile's sum is assigned to: signed, to nearest with ties upwards, saturating,
            as a converter that is half a step off does; of at most as many fraction bits as sums.
        noise: that is added to the sum before; None without.

    Raises:
        ValueError: a value out of range, or another format.
    """

    tile_rows: int
    format: FixedPoint
    noise: ReadNoise | None = None

    def __post_init__(self) -> None:
        if type(self.tile_rows) is not int or self.tile_rows < 1:
            raise ValueError(f"a tile has at least one row, got {self.tile_rows!r:.40}")
        form = self.format
        if not form.signed or (form.rounding, form.overflow) != (Rounding.RND, Overflow.SAT):
            raise ValueError("a converter's format is signed, AP_RND and AP_SAT")


@dataclass(frozen=True, eq=False)  # comparing arrays is ambiguous; compare digests
class SynapseArray:
    """One layer's synapses: what a crossbar of `codes` computes for raw integer inputs.

    `accumulator[j] = sum_i input[i] * codebook[codes[i, j]]`; with a bias, the last row of `codes`
    is driven by the constant `bias_input`. With converters each tile's part of that sum is
    converted before the parts are added. The constructor copies the matrices and makes the copies
    read-only.

    Attributes:
        codes: (n_rows, n_out) uint8, indices into `codebook`; n_rows is n_in, or n_in + 1 with a
            bias row.
        codebook: (effective_levels,) int64, strictly ascending raw integers in `table_format`.
        table_format: format of a codebook value: signed; the largest value below 1 is full scale.
            With more than one integer bit there are values beyond it, of cells that are.
        input_format: format of the inputs; signed where read voltages may be negative.
        bias_input: raw integer in `input_format` driving the bias row, or None without one.
        scale: the weight that the normalized weight 1 stands for (the layer's largest weight).
        converter: at the columns' ends of each tile; None where sums are read exactly.

    Raises:
        ValueError: the parts contradict one another.
    """

    codes: NDArray[np.uint8]
    codebook: NDArray[np.int64]
    table_format: FixedPoint
    input_format: FixedPoint
    bias_input: int | None
    scale: float
    converter: Converter | None = None

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or self.codes.dtype != np.uint8 or self.n_in < 1 or self.n_out < 1:
            raise ValueError("codes must be a uint8 matrix with at least one row and one column")
        if self.codebook.ndim != 1 or self.codebook.dtype != np.int64:
            raise ValueError("a codebook must be a vector of int64")
        if not 1 <= len(self.codebook) <= 256 or np.any(self.codebook[1:] <= self.codebook[:-1]):
            raise ValueError("a codebook has 1 to 256 strictly ascending values")
        if self.codes.max() >= len(self.codebook):
            raise ValueError("a code points outside its codebook")
        if not self.table_format.signed or self.table_format.integer < 1:
            raise ValueError("tables are signed, with at least one integer bit")
        if self.table_format.fraction < 1:
            raise ValueError("a table has at least one fraction bit")
        low, high = self.table_format.min_raw, self.table_format.max_raw
        if self.codebook[0] < low or self.codebook[-1] > high:
            raise ValueError("a codebook value does not fit the table format")
        if self.bias_input is not None and not (
            type(self.bias_input) is int and 0 < self.bias_input <= self.input_format.max_raw
        ):
            raise ValueError("the bias input does not fit the input format")
        if not 0 < self.scale < math.inf:
            raise ValueError("the scale must be positive and finite")
        noise = (0, 0) if self.noise is None else self.noise.range
        noise_bits = signed_width(*noise)
        sum_bits = self.table_format.width + self.input_format.width + self.n_rows.bit_length()
        if max(sum_bits, noise_bits + 1) > 63:
            raise ValueError("the sums may need more than 63 bits")
        FixedPoint(2, 2 - self._exact_fraction, signed=True)  # whether there is a format for them
        if self.converter is not None and self.converter.format.fraction > self._exact_fraction:
            raise ValueError("a converter's step is at least that of the sums")
        for name in ("codes", "codebook"):  # copies, so that nobody else can change them
            copy = np.array(getattr(self, name), order="C")
            copy.setflags(write=False)
            object.__setattr__(self, name, copy)

    @property
    def n_rows(self) -> int:
        return int(self.codes.shape[0])

    @property
    def n_in(self) -> int:
        return self.n_rows - (self.bias_input is not None)

    @property
    def n_out(self) -> int:
        return int(self.codes.shape[1])

    @property
    def effective_levels(self) -> int:
        return len(self.codebook)

    @property
    def code_bits(self) -> int:
        """Bits of one stored code."""
        return max(1, (self.effective_levels - 1).bit_length())

    @cached_property
    def weights(self) -> NDArray[np.int64]:
        """(n_rows, n_out) int64: the codebook value of every synapse."""
        return self.codebook[self.codes]

    @cached_property
    def tiles(self) -> tuple[slice, ...]:
        """The rows of each part of a sum that is converted on its own: of all, without converters.

        The bias row is the last one.
        """
        rows = self.n_rows if self.converter is None else self.converter.tile_rows
        return tuple(
            slice(first, min(first + rows, self.n_rows)) for first in range(0, self.n_rows, rows)
        )

    @cached_property
    def partial_range(self) -> tuple[int, int]:
        """The least and greatest sum in a tile that any inputs and any order of addition reach.

        Each row adds its own extremes, among them 0: so every partial sum lies between the same
        ones.
        """
        ranges = self._tile_ranges
        return int(min(low.min() for low, _ in ranges)), int(max(high.max() for _, high in ranges))

    @cached_property
    def _tile_ranges(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """For each tile the least and the greatest exact sum of every column, (n_out,) each."""
        least, most = self.drive
        ends = self.weights * least[:, None], self.weights * most[:, None]
        low, high = np.minimum(*ends), np.maximum(*ends)
        return [(low[rows].sum(axis=0), high[rows].sum(axis=0)) for rows in self.tiles]

    @cached_property
    def accumulator_range(self) -> tuple[int, int]:
        """The least and greatest sum that any inputs and any order of addition can reach."""
        if self.converter is None:
            return self.partial_range
        least, most = (0, 0) if self.noise is None else self.noise.range
        low = sum(self._converted(low + least) for low, _ in self._tile_ranges)
        high = sum(self._converted(high + most) for _, high in self._tile_ranges)
        return int(np.min(low)), int(np.max(high))

    @property
    def noise(self) -> ReadNoise | None:
        """What is added to a tile's sum before it is converted."""
        return None if self.converter is None else self.converter.noise

    def _converted(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """What converters make of a tile's exact sums; they keep the order of sums, and 0."""
        if self.converter is None:
            return sums
        return requantize(sums, self._exact_fraction, self.converter.format)

    @property
    def drive(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n_rows,) each: the least and the greatest raw integer that drives a row, or 0 beyond.

        The bias row's constant has been added or not: in between, 0 is possible, too.
        """
        least = np.full(self.n_rows, self.input_format.min_raw, dtype=np.int64)
        most = np.full(self.n_rows, self.input_format.max_raw, dtype=np.int64)
        if self.bias_input is not None:
            least[-1], most[-1] = 0, self.bias_input
        return least, most

    @cached_property
    def accumulator(self) -> FixedPoint:
        """The narrowest format that provably holds every sum: nothing rounds, nothing overflows."""
        width = signed_width(*self.accumulator_range)
        return FixedPoint(width, width - self._sum_fraction, signed=True)

    @cached_property
    def partial(self) -> FixedPoint:
        """The narrowest format of a tile's exact sums; without converters that of `accumulator`."""
        width = signed_width(*self.partial_range)
        return FixedPoint(width, width - self._exact_fraction, signed=True)

    @property
    def sum_step(self) -> float:
        """The value of one raw unit of a sum: that of `accumulator`, which takes longer to find."""
        return 2.0**-self._sum_fraction

    @property
    def _sum_fraction(self) -> int:
        form = self.converter
        return self._exact_fraction if form is None else form.format.fraction

    @property
    def _exact_fraction(self) -> int:
        return self.input_format.fraction + self.table_format.fraction

    def accumulate(self, inputs: NDArray[np.integer[Any]], first: int = 0) -> NDArray[np.int64]:
        """The sums for raw inputs, exact or, with converters, of what they make of the exact ones.

        Args:
            inputs: (n_samples, n_in) raw integers in `input_format`; n_samples may be 0.
            first: how often the array was read before: read noise is another each time.

        Returns:
            (n_samples, n_out) int64 raw integers in `accumulator`.

        Raises:
            ValueError: `inputs` has another number of columns.
            SynqError: an input is outside its format, or the sums need more than 53 bits.
        """
        total = np.zeros((len(inputs), self.n_out), dtype=np.int64)
        reads = (np.arange(len(inputs)) + first) * len(self.tiles)
        for tile, part in enumerate(self.partial_sums(inputs)):
            if self.noise is not None:
                part += self.noise.draw(reads + tile, self.n_out)
            total += self._converted(part)
        return total

    def partial_sums(self, inputs: NDArray[np.integer[Any]]) -> Iterator[NDArray[np.int64]]:
        """The exact sums of each tile in turn, raw in `partial`; see `accumulate`."""
        if inputs.ndim != 2 or inputs.shape[1] != self.n_in:
            raise ValueError(f"inputs must be (n_samples, {self.n_in}), got {inputs.shape}")
        self._check_inputs(inputs)
        low, high = self.partial_range
        bound = max(-low, high)
        real: type[np.floating[Any]]
        if bound < _FLOAT32_EXACT:
            real = np.float32
        elif bound < _FLOAT64_EXACT:
            real = np.float64
        else:
            raise SynqError(
                "the accumulator needs more than 53 bits: use a smaller table width",
                settings=("table_width",),
            )
        driven: NDArray[np.floating[Any]] = inputs.astype(real)
        weights: NDArray[np.floating[Any]] = self.weights.astype(real)
        for rows in self.tiles:
            of_inputs = slice(rows.start, min(rows.stop, self.n_in))
            exact: NDArray[np.int64] = (driven[:, of_inputs] @ weights[of_inputs]).astype(np.int64)
            if self.bias_input is not None and rows.stop == self.n_rows:
                exact += self.weights[-1] * self.bias_input
            yield exact

    def _check_inputs(self, inputs: NDArray[np.integer[Any]]) -> None:
        """Refuse inputs that `accumulator_range` does not speak of."""
        least, most = self.input_format.min_raw, self.input_format.max_raw
        if inputs.dtype.kind not in "iu":
            raise SynqError(f"inputs must be integers of {least} to {most}, got {inputs.dtype}")
        if inputs.size:
            low, high = int(inputs.min()), int(inputs.max())
            if low < least or high > most:
                raise SynqError(
                    f"inputs must be between {least} and {most}, got {low if low < least else high}"
                )


def classes_of(outputs: NDArray[Any]) -> NDArray[np.int64]:
    """The class that outputs stand for: the index of the largest one, the first one on a tie.

    A single output tells two classes apart by its sign: 1 if it is positive, else 0.

    Args:
        outputs: (n_samples, n_out) sums or logits.

    Returns:
        (n_samples,).
    """
    if outputs.shape[1] == 1:
        outputs = np.hstack([np.zeros_like(outputs), outputs])
    classes: NDArray[np.int64] = np.argmax(outputs, axis=1).astype(np.int64)
    return classes


def accuracy(classes: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Percent of samples whose class is the label.

    Raises:
        ValueError: not one label a sample, or no sample.
    """
    if labels.shape != classes.shape or not labels.size:
        raise ValueError(f"{labels.shape} labels for {classes.shape} samples")
    return float(np.mean(classes == labels) * 100)


def class_count(n_out: int) -> int:
    """How many classes `classes_of` tells apart by `n_out` outputs."""
    return max(2, n_out)


@dataclass(frozen=True, eq=False)
class Trace:
    """Every integer a network computes for a set of inputs; first axis: the samples.

    A convolution's sums and activations stand in a row as an image does: place by place, at each
    all channels.

    Attributes:
        accumulators: one (n_samples, n_places * n_out) int64 an array, raw in its `accumulator`
            format. The last one is the network's output.
        activations: one int64 matrix a hidden layer, raw in its activation format, pooled: as many
            columns as the next layer has inputs.
        classes: (n_samples,) int64, see `classes_of`.
    """

    accumulators: tuple[NDArray[np.int64], ...]
    activations: tuple[NDArray[np.int64], ...]
    classes: NDArray[np.int64]

    @property
    def answers(self) -> NDArray[np.int64]:
        """(n_samples, n_out) the last array's sums."""
        return self.accumulators[-1]

    def accuracy(self, labels: NDArray[np.int64]) -> float:
        """See `accuracy`."""
        return accuracy(self.classes, labels)

    def stages(self) -> list[tuple[str, NDArray[np.int64]]]:
        """Every compared tensor in order of computation, named as in the emitted project."""
        named: list[tuple[str, NDArray[np.int64]]] = []
        for index, accumulator in enumerate(self.accumulators):
            named.append((f"array_{index}", accumulator))
            if index < len(self.activations):
                named.append((f"activation_{index}", self.activations[index]))
        named.append(("class", self.classes[:, None]))
        return named

    def table(self) -> NDArray[np.int64]:
        """All stages side by side, one row a sample."""
        return np.hstack([values for _, values in self.stages()])

    def head(self, n_samples: int) -> "Trace":
        """The first samples only."""
        return Trace(
            tuple(values[:n_samples] for values in self.accumulators),
            tuple(values[:n_samples] for values in self.activations),
            self.classes[:n_samples],
        )


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """Layers of synapses with a ReLU, a pool where there is one, and a requantization between them.

    Attributes:
        arrays: at least one.
        activations: the unsigned format that a hidden layer's accumulators are assigned to after
            ReLU and pool; one fewer than `arrays`.
        geometries: where each array is used; without, every layer is dense.

    Raises:
        ValueError: shapes or formats do not chain, an activation is signed, or `output_unit` is
            beyond a float.
    """

    arrays: tuple[SynapseArray, ...]
    activations: tuple[FixedPoint, ...]
    geometries: tuple[Geometry, ...] = ()

    def __post_init__(self) -> None:
        if not self.arrays or len(self.activations) != len(self.arrays) - 1:
            raise ValueError("a network has one activation format fewer than arrays")
        if any(activation.signed for activation in self.activations):
            raise ValueError("hidden activations are unsigned")
        if not self.geometries:
            object.__setattr__(self, "geometries", (DENSE,) * len(self.arrays))
        check_chain(self.geometries, [(array.n_in, array.n_out) for array in self.arrays])
        for activation, after in zip(self.activations, self.arrays[1:], strict=True):
            if after.input_format != activation:
                raise ValueError("the arrays' formats do not chain")
        if any(width > 63 for width in map(self._pooled_width, range(len(self.activations)))):
            raise ValueError("the sums may need more than 63 bits")
        if not 0 < self.output_unit < math.inf:
            raise ValueError("the arrays' scales multiply to more, or less, than a float holds")

    @property
    def n_in(self) -> int:
        """Values of an input."""
        window = self.geometries[0].window
        return self.arrays[0].n_in if window is None else math.prod(window.shape)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Values of an input and of what each layer passes on: (784, 128, 10)."""
        return (self.n_in, *(math.prod(shape) for shape in self.shapes))

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Height, width and channels of what each layer passes on; (1, 1, n) of a dense one."""
        return tuple(geometry.passed(array.n_out) for geometry, array in self._layers)

    @property
    def dense(self) -> bool:
        """Whether every array is used once an image."""
        return all(geometry.window is None for geometry in self.geometries)

    @property
    def input_format(self) -> FixedPoint:
        return self.arrays[0].input_format

    @property
    def output_unit(self) -> float:
        """The real logit that one raw unit of the last accumulator stands for.

        ReLU commutes with a positive factor, so the scales are never multiplied in hardware, nor
        are the sums of a pool divided: all that only piles up in the unit of the outputs.
        """
        units = (array_unit(array) for array in self.arrays)
        divisor = math.prod(geometry.divisor for geometry in self.geometries)
        return math.prod(units, start=self.arrays[-1].sum_step) / divisor

    @property
    def noisy(self) -> bool:
        """Whether what it computes depends on how many samples it has read before."""
        return any(array.noise is not None for array in self.arrays)

    def run(self, inputs: NDArray[np.integer[Any]], first: int = 0) -> Trace:
        """The integer reference: all sums and activations, exactly.

        Args:
            inputs: (n_samples, n_in) raw integers in `input_format`; n_samples may be 0.
            first: how many samples the network has read before; see `SynapseArray.accumulate`.

        Raises:
            ValueError, SynqError: as `SynapseArray.accumulate`.
        """
        accumulators: list[NDArray[np.int64]] = []
        activations: list[NDArray[np.int64]] = []
        signal: NDArray[np.integer[Any]] = inputs
        for index in range(len(self.arrays)):
            accumulators.append(self.accumulate(index, signal, first))
            if index < len(self.activations):
                activations.append(self.activate(index, accumulators[-1]))
                signal = activations[-1]
        return Trace(
            accumulators=tuple(accumulators),
            activations=tuple(activations),
            classes=classes_of(accumulators[-1]),
        )

    def answers(self, inputs: NDArray[np.integer[Any]], first: int = 0) -> NDArray[np.int64]:
        """The last array's sums alone, (n_samples, n_out): in no more memory than some need.

        Args, Raises: as `run`.
        """
        sums = sum(math.prod(geometry.answered(array.n_out)) for geometry, array in self._layers)
        at_once = max(1, _SUMS_AT_ONCE // sums)
        starts = range(0, max(1, len(inputs)), at_once)
        parts = (self.run(inputs[start : start + at_once], first + start) for start in starts)
        return np.concatenate([part.answers for part in parts])

    @property
    def _layers(self) -> Iterator[tuple[Geometry, SynapseArray]]:
        return zip(self.geometries, self.arrays, strict=True)

    def accumulate(
        self, index: int, signal: NDArray[np.integer[Any]], first: int = 0
    ) -> NDArray[np.int64]:
        """The sums of array `index` at all its places.

        Args:
            signal: (n_samples, n) raw integers, what the layer takes.
            first: how many samples it has read before.

        Returns:
            (n_samples, n_places * n_out) int64, raw in the array's `accumulator`.

        Raises:
            ValueError, SynqError: as `SynapseArray.accumulate`.
        """
        array, geometry = self.arrays[index], self.geometries[index]
        return accumulate_places(array, geometry, signal, first)

    def activate(self, index: int, accumulator: NDArray[np.int64]) -> NDArray[np.int64]:
        """ReLU, pool and requantization after array `index`."""
        array, geometry = self.arrays[index], self.geometries[index]
        positive = rectified(array, geometry, accumulator)
        return requantize(positive, array.accumulator.fraction, self.activations[index])

    def _pooled_width(self, index: int) -> int:
        """Bits of the sums after array `index`, and its pool."""
        pooled = self.geometries[index].divisor
        return self.arrays[index].accumulator.width + (pooled - 1).bit_length()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything in the network."""
        return hashlib.sha256(self.to_npz()).hexdigest()

    def to_npz(self, **others: NDArray[np.uint8]) -> bytes:
        """The network as one `.npz` of plain arrays; the same bytes for the same network.

        Args:
            others: arrays that stand beside it in the file; `from_npz` does not look at them.
        """
        header: dict[str, Any] = {
            "arrays": [_described(array) for array in self.arrays],
            "activations": [activation.to_dict() for activation in self.activations],
        }
        if not self.dense:  # so that a file of a dense network stays what it was
            header["geometries"] = [geometry.to_dict() for geometry in self.geometries]
        parts: dict[str, NDArray[Any]] = {
            "header": np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
        }
        for index, array in enumerate(self.arrays):
            parts[f"codes_{index}"] = array.codes
            parts[f"codebook_{index}"] = array.codebook
        buffer = io.BytesIO()
        # Not compressed: zlib builds differ. The zip entries carry the fixed date 1980-01-01.
        np.savez(buffer, allow_pickle=False, **parts, **others)
        return buffer.getvalue()

    @staticmethod
    def from_npz(path: Path) -> "QuantizedNetwork":
        """Read what `to_npz` wrote, within bounds; nothing in the file is executed.

        Raises:
            SynqError: the file is missing, damaged or not such a network.
        """
        if not path.exists():
            raise SynqError(f"{path} is missing: export the project again")
        try:
            return _read(path)
        except (SynqError, ValueError, RecursionError) as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise SynqError(f"{path} is not a quantized network: {reason}") from None


def _read(path: Path) -> QuantizedNetwork:
    """The network in an `.npz`; see `QuantizedNetwork.from_npz`.

    Raises:
        SynqError, ValueError, RecursionError: the file cannot be read, or is no network.
    """
    text = read_npz(path, {"header": _HEADER}, _MAX_HEADER_BYTES)["header"].tobytes()
    header = json.loads(text)
    match header:
        case {"arrays": [*described], "activations": [*activations]}:
            members: dict[str, Member] = {}
            for index in range(len(described)):
                members |= {f"codes_{index}": _CODES, f"codebook_{index}": _CODEBOOK}
            parts = read_npz(path, members, _MAX_BYTES)
            return QuantizedNetwork(
                tuple(
                    _array(fields, parts[f"codes_{index}"], parts[f"codebook_{index}"])
                    for index, fields in enumerate(described)
                ),
                tuple(FixedPoint.from_dict(fields) for fields in activations),
                _geometries(header.get("geometries")),
            )
    raise ValueError("its header lists no arrays and activations")


def _geometries(fields: Any) -> tuple[Geometry, ...]:
    match fields:
        case None:
            return ()
        case [*geometries]:
            return tuple(Geometry.from_dict(each) for each in geometries)
    raise ValueError(f"its header describes no geometries: {str(fields)[:200]}")


def _described(array: SynapseArray) -> dict[str, Any]:
    """All of an array but its matrices; `_array` reads it."""
    fields: dict[str, Any] = {
        "table_format": array.table_format.to_dict(),
        "input_format": array.input_format.to_dict(),
        "bias_input": array.bias_input,
        "scale": array.scale,
    }
    if array.converter is not None:
        fields["converter"] = described_converter(array.converter)
    return fields


def described_converter(converter: Converter) -> dict[str, Any]:
    """A converter for JSON."""
    noise = converter.noise
    return {"tile_rows": converter.tile_rows, "format": converter.format.to_dict()} | (
        {} if noise is None else {"noise": asdict(noise)}
    )


def _converter(fields: Any) -> Converter | None:
    match fields:
        case None:
            return None
        case {"tile_rows": int(tile_rows), "format": form, "noise": noise}:
            return Converter(tile_rows, FixedPoint.from_dict(form), _noise(noise))
        case {"tile_rows": int(tile_rows), "format": form}:
            return Converter(tile_rows, FixedPoint.from_dict(form))
    raise ValueError(f"its header describes no converter: {str(fields)[:200]}")


def _noise(fields: Any) -> ReadNoise:
    match fields:
        case {"keys": [*keys], "factor": factor, "shift": shift}:
            return ReadNoise(tuple(keys), factor, shift)
    raise ValueError(f"its header describes no read noise: {str(fields)[:200]}")


def _array(fields: Any, codes: NDArray[np.uint8], codebook: NDArray[np.int64]) -> SynapseArray:
    match fields:
        case {
            "table_format": table_format,
            "input_format": input_format,
            "bias_input": int() | None as bias_input,
            "scale": float(scale),
        }:
            return SynapseArray(
                codes,
                codebook,
                FixedPoint.from_dict(table_format),
                FixedPoint.from_dict(input_format),
                bias_input,
                scale,
                _converter(fields.get("converter")),
            )
    raise ValueError(f"its header describes no array: {str(fields)[:200]}")


def array_unit(array: SynapseArray) -> float:
    """The weight that the table value 1.0 stands for.

    The largest weight, `scale`, is stored as the largest table integer below 1, 127 for 8 bits,
    which is 127/128 in the table format; hence the factor 128/127.
    """
    return array.scale / (1 - array.table_format.step)


def accumulate_places(
    array: SynapseArray, geometry: Geometry, signal: NDArray[np.integer[Any]], first: int = 0
) -> NDArray[np.int64]:
    """The array's sums at all places of its window; see `QuantizedNetwork.accumulate`."""
    window = geometry.window
    if window is None:
        return array.accumulate(signal, first)
    if signal.ndim != 2 or signal.shape[1] != math.prod(window.shape):
        raise ValueError(f"inputs must be (n_samples, {math.prod(window.shape)}): {signal.shape}")
    n_places = window.n_places
    sums = np.empty((len(signal), n_places * array.n_out), dtype=np.int64)
    at_once = max(1, _VALUES_AT_ONCE // (n_places * window.n_in))
    for start in range(0, len(signal), at_once):
        patches = window.patches(signal[start : start + at_once])
        part = array.accumulate(patches, (first + start) * n_places)
        sums[start : start + at_once] = part.reshape(-1, n_places * array.n_out)
    return sums


def rectified(
    array: SynapseArray, geometry: Geometry, accumulator: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sums after ReLU and the pool, (n_samples, n) in the raw unit of `accumulator`."""
    positive = np.maximum(accumulator, 0)
    if geometry.pool is None:
        return positive
    return geometry.pool.pooled(positive, geometry.answered(array.n_out))


def require_equal(
    expected: Trace, got: Sequence[tuple[str, NDArray[np.int64]]], got_name: str, first: int = 0
) -> int:
    """Refuse stages that differ anywhere from the integer reference; see `first_difference`.

    Returns:
        How many integers were compared.

    Raises:
        SynqError: they do, says where first and how many; or there are none to compare.
    """
    difference = first_difference(expected, got, got_name, first)
    if difference is not None:
        raise SynqError(f"not bit-exact: {difference}")
    compared = sum(values.size for _, values in got)
    if not compared:
        raise SynqError(f"{got_name} has computed no image: there is nothing to compare")
    return compared


def first_difference(
    expected: Trace, got: Sequence[tuple[str, NDArray[np.int64]]], got_name: str, first: int = 0
) -> str | None:
    """None if `got` equals `expected` everywhere, else where they first differ, in one line.

    Args:
        expected: the integer reference.
        got: the same stages, in the same order, from another implementation.
        got_name: what to call that implementation.
        first: the number of the first sample.

    Raises:
        ValueError: `got` lacks a stage or has another shape or type.
    """
    differing: list[tuple[int, int, str]] = []
    mismatches = compared = 0
    stages = expected.stages()
    if [name for name, _ in stages] != [name for name, _ in got]:
        raise ValueError(f"{got_name} reports other stages than the reference")
    for order, ((name, want), (_, have)) in enumerate(zip(stages, got, strict=True)):
        if want.shape != have.shape:
            raise ValueError(f"{got_name} reports {name} as {have.shape}, not {want.shape}")
        if have.dtype != np.int64:  # integers beside floats are compared rounded
            raise ValueError(f"{got_name} reports {name} as {have.dtype}, not int64")
        compared += want.size
        wrong = np.argwhere(want != have)
        if len(wrong):
            mismatches += len(wrong)
            image, neuron = (int(i) for i in wrong[0])
            where = f"image {first + image}, {name}, neuron {neuron}"
            values = f"expected {want[image, neuron]}, got {have[image, neuron]}"
            differing.append((image, order, f"{where}: {values}"))
    if not differing:
        return None
    return (
        f"{got_name} differs from the integer reference at {min(differing)[2]} "
        f"({mismatches:,} of {compared:,} integers differ)"
    )


Stages = list[tuple[str, NDArray[np.int64]]]


def stage_sizes(network: QuantizedNetwork) -> list[tuple[str, int]]:
    """Names and widths of the compared layers, in order of computation."""
    sizes: list[tuple[str, int]] = []
    for index, array in enumerate(network.arrays):
        sizes.append((f"array_{index}", network.geometries[index].n_places * array.n_out))
        if index < len(network.activations):
            sizes.append((f"activation_{index}", math.prod(network.shapes[index])))
    return sizes
