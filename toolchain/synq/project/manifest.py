"""The manifest of a project: what it was made from, and the SHA-256 of each of its files."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from synq.errors import SynqError
from synq.files import read_bounded, reason
from synq.network import QuantizedNetwork, SynapseArray, Trace, described_converter
from synq.project.flow import BITSTREAMS

MANIFEST = "manifest.json"
_FORMAT = "synq-project-1"
_MAX_BYTES = 16 << 20
_MAX_NAME = 200  # characters of a file's name
# What `synq synth`, `synq report` and flow/build.sh add to a project; anything else is refused.
_PRODUCT = re.compile(
    r"flow/(build|logs|reports)(/.*)?|flow/report\.html|"
    rf"driver/({'|'.join(BITSTREAMS.values())})\.(bit|hwh)",
    re.DOTALL,
)


def write_manifest(root: Path, content: Mapping[str, Any]) -> None:
    """Add `manifest.json`: `content`, and the SHA-256 of every other file."""
    manifest = {"format": _FORMAT, **content, "files": digests_of(root)}
    text = json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n"
    (root / MANIFEST).write_text(text)


def as_written(content: Mapping[str, Any]) -> dict[str, Any]:
    """What `read_manifest` will give of this content, but for format and files."""
    read: dict[str, Any] = json.loads(json.dumps(content, allow_nan=False))
    return read


def read_manifest(root: Path) -> dict[str, Any]:
    """The manifest of a project.

    Raises:
        SynqError: there is none, or it is not one of ours.
    """
    path = root / MANIFEST
    try:
        manifest = json.loads(read_bounded(path, _MAX_BYTES))
    except SynqError as error:
        raise SynqError(f"{error}: is it a synq project?") from None
    except (ValueError, RecursionError):
        raise SynqError(f"{path} is not valid JSON: export the project again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise SynqError(f"{path} is not the manifest of a synq project")
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(digest, str) and _stays_inside(name) for name, digest in files.items()
    ):
        raise SynqError(f"{path} lists files in a way synq does not write")
    return manifest


def read_files(root: Path, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """The project's files, each with the digest that the manifest has, by POSIX name.

    Raises:
        SynqError: one is missing, has changed or was added; names it.
    """
    found, contents = _compared(root, manifest)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise SynqError(f"{root} is not as exported: {in_a_line(found[0])}{more}")
    return contents


def read_listed(root: Path, manifest: Mapping[str, Any], names: Iterable[str]) -> dict[str, bytes]:
    """Some of the project's files, each with the digest that the manifest has, by POSIX name.

    Raises:
        SynqError: one is missing, has changed or is not listed; names it.
    """
    contents = {}
    for name in names:
        path = root / name
        content = _content(path) if path.exists() else None
        if content is None or manifest["files"].get(name) != hashlib.sha256(content).hexdigest():
            what = "has changed" if path.exists() else "is missing"
            raise SynqError(f"{root} is not as exported: {in_a_line(name)} {what}")
        contents[name] = content
    return contents


def changed_files(root: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What is missing, has changed or was added since the manifest was written, in words."""
    found, _ = _compared(root, manifest)
    return found


def not_as_listed(root: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What is missing, was added or became a link, in words; the tools' products may be added."""
    listed, present = manifest["files"], dict.fromkeys(_names(root))
    added = [name for name in present if name not in listed and not _PRODUCT.fullmatch(name)]
    return [
        *(f"{name} is missing" for name in listed if name not in present),
        *(f"{name} has changed" for name in listed if (root / name).is_symlink()),
        *(f"{name} was added" for name in added),
    ]


def _compared(root: Path, manifest: Mapping[str, Any]) -> tuple[list[str], dict[str, bytes]]:
    """What is not as the manifest lists it, in words; and the contents of what is."""
    found, present = not_as_listed(root, manifest), set(_names(root))
    contents: dict[str, bytes] = {}
    for name, digest in manifest["files"].items():
        if name not in present or (root / name).is_symlink():
            continue
        content = _content(root / name)
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            found.append(f"{name} has changed")
        else:
            contents[name] = content
    return found, contents


def bit_exact(expected: Trace, compared: Mapping[str, int]) -> dict[str, Any]:
    """What was compared with the reference, for people and machines.

    Args:
        compared: by check, the integers found equal.

    Returns:
        Images, integers compared by check, and mismatches: those of the reference that a check was
        to compare and did not find equal.
    """
    output = expected.accumulators[-1].size + expected.classes.size
    whole = sum(values.size for _, values in expected.stages())
    # The wrapper shows outputs only; the Verilog is run twice, in two kinds of traffic.
    due = {"axis": output, "rtl": 2 * whole}
    mismatches = sum(due.get(check, whole) - count for check, count in compared.items())
    return {
        "images": len(expected.classes),
        "compared": dict(compared),
        "mismatches": mismatches,
    }


def describe_network(network: QuantizedNetwork) -> dict[str, Any]:
    """The network as the manifest shows it."""
    arrays = [
        {
            "n_in": array.n_in,
            "n_out": array.n_out,
            "bias_input": array.bias_input,
            "effective_levels": array.effective_levels,
            "codebook": array.codebook.tolist(),
            "code_bits": array.code_bits,
            "scale": array.scale,
            "table_format": array.table_format.to_dict(),
            "input_format": array.input_format.to_dict(),
            "accumulator": array.accumulator.to_dict(),
            "accumulator_range": list(array.accumulator_range),
            **_converter(array),
            **({} if geometry.window is None else {"geometry": geometry.to_dict()}),
        }
        for array, geometry in zip(network.arrays, network.geometries, strict=True)
    ]
    return {"digest": network.digest, "arrays": arrays, "output_unit": network.output_unit}


def _converter(array: SynapseArray) -> dict[str, Any]:
    if array.converter is None:
        return {}
    return {"converter": described_converter(array.converter)}


def in_a_line(name: str) -> str:
    """A file's name as it can stand in a message of one line."""
    return "".join(each if each.isprintable() else "?" for each in name)


def digests_of(root: Path) -> dict[str, str]:
    """SHA-256 of every file below `root` but the manifest, by POSIX name.

    A link or a special file has the digest "", which no file has: synq writes none, and what a
    link points to is not the project's.
    """
    contents = {name: _content(root / name) for name in _names(root)}
    return {
        name: "" if content is None else hashlib.sha256(content).hexdigest()
        for name, content in contents.items()
    }


def _content(path: Path) -> bytes | None:
    """What a file holds; None for a link or a special file."""
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise SynqError(f"{path}: cannot be read ({reason(error)})") from error


def _names(root: Path) -> list[str]:
    """Every file below `root` but the manifest, links and special files too."""
    found = (
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )
    return sorted(name for name in found if name != MANIFEST)


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return len(name) <= _MAX_NAME and not path.is_absolute() and ".." not in path.parts
