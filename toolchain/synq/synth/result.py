"""What a synthesis report says, in one typed form with units, whichever tool wrote it."""

import re
from dataclasses import dataclass
from enum import StrEnum

from synq.cost import Resources
from synq.errors import SynqError
from synq.rtl.verilog import TOP

_VERILOG = (TOP, "rtl_system_wrapper")  # the Verilog core, and the system around it in Vivado


class OtherReportError(SynqError):
    """A tool's report, whole as far as one can see, of a kind that synq does not read."""


class Kind(StrEnum):
    """Which report it is; told from the contents, never from the file's name."""

    HLS_CSYNTH = "hls_csynth"  # csynth.xml of Vivado HLS and Vitis HLS (UG902, UG1399)
    HLS_COSIM = "hls_cosim"  # <top>_cosim.rpt of the same (UG902, UG1399)
    VIVADO_UTILIZATION = "vivado_utilization"  # report_utilization (UG835, UG906)
    VIVADO_TIMING = "vivado_timing"  # report_timing_summary (UG835, UG906)
    YOSYS_STATISTICS = "yosys_statistics"  # stat -json, after technology mapping
    NEXTPNR = "nextpnr"  # --report of nextpnr after routing, or himbaechel's log


@dataclass(frozen=True)
class Usage:
    """How much of one resource a design takes, and the part has.

    Attributes:
        used: in the unit of the resource: look-up tables (of six inputs; of four on ECP5),
            flip-flops, DSP slices or 18 x 18 multipliers, UltraRAM blocks, and for block RAM always
            18 Kbit, of which a 36 Kbit block or tile counts two.
        available: the same of the part; None where the report does not say.
    """

    used: int
    available: int | None

    @property
    def percent(self) -> float | None:
        """Of what is available, in percent; None if that is nothing or unknown."""
        return percent(self.used, self.available)


@dataclass(frozen=True)
class LayerResources:
    """What one layer takes of a design's resources."""

    name: str
    resources: Resources


@dataclass(frozen=True)
class Clock:
    """A clock of a timing summary.

    Attributes:
        period_ns: its period in ns.
        wns_ns: worst setup slack of the paths within it, in ns; None if it has none.
    """

    name: str
    period_ns: float | None
    wns_ns: float | None


@dataclass(frozen=True)
class Report:
    """One report. What it does not say, or the tool could not tell (`undef`, `NA`), is None.

    Attributes:
        tool_version: of the HLS tool or of Vivado, as "2019.2"; else the tool's own, as "0.70".
        part: the part as `normalize_part` writes it.
        top: the synthesized function, or the design.
        is_top: False for a function below the top, of which HLS writes a report each.
        stage: of Vivado, Yosys and nextpnr: "synthesized", "placed" or "routed". Only routed
            timing is final; before, the delays of nets are estimates (UG906).
        target_clock_ns: the period asked for. Of a timing summary with several clocks, that of
            the clock with the worst slack.
        clock_uncertainty_ns: what HLS keeps free of the target for routing (UG1399).
        estimated_clock_ns: the period that HLS estimates; with Yosys, synq from its netlist.
        clock_model: how Yosys' was estimated.
        logic_levels: look-up tables, and chains of carries, on the path that sets this period.
        critical_path: the slowest path within the clock, in words.
        latency_best: clock cycles from start to end; also average and worst. From cosimulation
            measured, else estimated.
        interval_min: clock cycles from one start to the next; also the largest.
        lut: look-up tables, and alike the other resources; `lutram` those used as memory or
            shift register, which `lut` includes. Of nextpnr for 7-series the most there can be.
        layers: each layer's part, where the tool keeps layers apart; the rest joins them.
        black_boxes: instances of which Vivado has no netlist, so that their resources are not
            in the numbers: in block designs whose cores are synthesized apart, all that matters.
        wns_ns: worst setup slack in ns, negative where timing is not met; None without paths.
        tns_ns: sum of the negative setup slacks in ns.
        whs_ns: worst hold slack in ns; `ths_ns` the sum of the negative ones.
        wpws_ns: worst pulse width slack in ns.
        failing_endpoints: those of setup, hold and pulse width together.
        clocks: of a timing summary, as it lists them.
        timing_met: Vivado's verdict on all constraints; None if there are none, or no path that
            they are about. Of HLS: the estimated period is not longer than the target. The
            uncertainty does not enter: it is a margin for the scheduler, which warns on its own
            when it is used up, and not part of what the user asked for.
        cosim_status: "pass" or "fail"; "fail" if any language failed.
    """

    kind: Kind
    tool_version: str | None = None
    part: str | None = None
    top: str | None = None
    is_top: bool = True
    stage: str | None = None
    target_clock_ns: float | None = None
    clock_uncertainty_ns: float | None = None
    estimated_clock_ns: float | None = None
    clock_model: str | None = None
    logic_levels: int | None = None
    critical_path: str | None = None
    latency_best: int | None = None
    latency_average: int | None = None
    latency_worst: int | None = None
    interval_min: int | None = None
    interval_max: int | None = None
    lut: Usage | None = None
    lutram: Usage | None = None
    ff: Usage | None = None
    bram_18k: Usage | None = None
    dsp: Usage | None = None
    uram: Usage | None = None
    layers: tuple[LayerResources, ...] = ()
    black_boxes: int | None = None
    wns_ns: float | None = None
    tns_ns: float | None = None
    whs_ns: float | None = None
    ths_ns: float | None = None
    wpws_ns: float | None = None
    failing_endpoints: int | None = None
    clocks: tuple[Clock, ...] = ()
    timing_met: bool | None = None
    cosim_status: str | None = None

    @property
    def flow(self) -> str:
        """The back end of whose core it reports: "hls" or "rtl"."""
        open_tools = (Kind.YOSYS_STATISTICS, Kind.NEXTPNR)
        return "rtl" if self.kind in open_tools or self.top in _VERILOG else "hls"

    def usage(self, resource: str) -> Usage | None:
        """The resource of this name, one of `RESOURCES`."""
        value = getattr(self, resource)
        assert value is None or isinstance(value, Usage)
        return value

    @property
    def worst_path_ns(self) -> float | None:
        """What to hold against `target_clock_ns`: the period estimated, or that of the worst path.

        A slack leaves a path's delay in its period only if the path stays within one clock; where
        the worst one crosses clocks it is None.
        """
        if self.kind not in (Kind.VIVADO_TIMING, Kind.NEXTPNR):
            return self.estimated_clock_ns
        if self.target_clock_ns is None or self.wns_ns is None:
            return None
        within = (clock.wns_ns for clock in self.clocks if clock.period_ns == self.target_clock_ns)
        return round(self.target_clock_ns - self.wns_ns, 6) if self.wns_ns in within else None


def percent(used: int, of: int | None) -> float | None:
    """`used` of `of` in percent, to hundredths; None if `of` is nothing or unknown."""
    return round(100 * used / of, 2) if of else None


_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_UNSET = 2**32 - 1  # an unsigned 32-bit -1
_MAX_NAME = 200  # characters


def number(text: str | None) -> float | None:
    """A number, or None for whatever else a tool writes there: `undef`, `NA`, `-`, `?`, `inf`."""
    text = (text or "").strip().replace(",", "")
    return float(text) if _NUMBER.fullmatch(text) else None


def count(text: str | None) -> int | None:
    """A whole number of at least 0, or None; 4294967295 is how HLS writes "not set"."""
    value = number(text)
    if value is None or value < 0 or value != int(value) or value == _UNSET:
        return None
    return int(value)


def period(text: str | None) -> float | None:
    """A clock period in ns, or None: it is longer than nothing."""
    value = number(text)
    return value if value is not None and value > 0 else None


def known(text: str | None) -> str | None:
    """A text of one printable line without blanks around it, or None if nothing is left."""
    shown = "".join(each if each.isprintable() else "\ufffd" for each in (text or "").strip())
    return shown[:_MAX_NAME] or None


_PREFIXLESS = re.compile(r"(7[akszv]|[kvaz]u)[a-z]*\d")
_SEVEN_SERIES = re.compile(r"x[caq]7[akszv]")
_PACKAGE = re.compile(r"[a-z]{2,5}\d{3,4}")
_JOINED = re.compile(r"(x[caq].*\d[a-z]{0,2})([a-z]{4}\d{3,4})")


def normalize_part(name: str | None) -> str | None:
    """A part as Vivado orders it, in lower case, so that names from different reports compare.

    7-series parts join device and package, UltraScale and later ones part them with a dash.

    >>> [normalize_part(each) for each in ("xc7z020-clg400-1", "7z020clg400-1")]
    ['xc7z020clg400-1', 'xc7z020clg400-1']
    >>> normalize_part("xcvu13pfhga2104-3")
    'xcvu13p-fhga2104-3'
    """
    if not (name := known(name)):
        return None
    device, *rest = name.lower().split("-")
    if _PREFIXLESS.match(device):
        device = f"xc{device}"
    if _SEVEN_SERIES.match(device):
        if rest and _PACKAGE.fullmatch(rest[0]):
            device += rest.pop(0)
    elif joined := _JOINED.fullmatch(device):
        device = "-".join(joined.groups())
    elif not device.startswith(("xc", "xa", "xq")):
        return name
    return "-".join([device, *rest])
