"""The head of a report of Vivado: version, part, design and stage."""

import re

from synq.errors import SynqError
from synq.synth.result import Kind, Report, known, normalize_part

_FIELDS = ("Tool Version", "Command", "Design", "Device", "Speed File", "Temperature Grade")
_STATE = "Design State"


class Header:
    """Collects what the head says, line by line."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def add(self, line: str) -> None:
        """Keep a line "| Device : 7z020clg400-1"."""
        if line.startswith("|"):
            key, colon, value = line[1:].partition(":")
            if colon and (name := key.strip()) in (*_FIELDS, _STATE):
                self._fields.setdefault(name, value.strip())

    def add_state(self, state: str) -> None:
        """The design's state, if the head does not say it."""
        self._fields.setdefault(_STATE, state)

    def report(self, kind: Kind) -> Report:
        """A report with what the head says.

        A timing summary names the device and its speed grade apart, and the temperature grade where
        the part has one.
        """
        fields = self._fields
        version = re.search(r"v\.?(\d{4}\.\d[\w.]{0,20})", fields.get("Tool Version", ""))
        device = fields.get("Device", "")
        speed = re.match(r"-\w+", fields.get("Speed File", ""))
        part = normalize_part(device)
        if part and speed and not re.search(r"-\d", part):
            grade = fields.get("Temperature Grade", "")
            part = normalize_part(f"{device}{speed.group()}" + (f"-{grade}" if grade else ""))
        return Report(
            kind=kind,
            tool_version=version.group(1) if version else None,
            part=part,
            top=known(fields.get("Design")),
            stage=_stage(fields.get(_STATE, "")),
        )


def _stage(state: str) -> str | None:
    """ "Fully Placed", "Physopt postRoute" and the like in one word, if there is one for it."""
    words = (known(state) or "").lower()
    if "partial" in words:
        return words
    stems = {"rout": "routed", "plac": "placed", "opt": "optimized", "synth": "synthesized"}
    return next((stage for stem, stage in stems.items() if stem in words), words or None)


def cut_off(what: str, command: str) -> SynqError:
    """The error of a report that ends before `what`."""
    return SynqError(f"is cut off: it ends before {what}; run {command} again")
