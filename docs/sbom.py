"""Write build/sbom.json: what synq's environment installs, with hashes, as CycloneDX 1.5.

`make sbom`, which needs uv. uv makes it of a project whose only requirements are the pins of
requirements.lock and PyTorch, which is not among them, since there are several builds of it. It is
not committed: it follows from the lock file, and would only be an older one.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PIN = re.compile(r"^([\w.-]+)==(\S+)( ;[^\\\n]*)?", re.MULTILINE)


def pins(lock: str) -> list[tuple[str, str, str]]:
    """Name, version and marker of each line of a lock file."""
    return [(name, version, marker.strip()) for name, version, marker in _PIN.findall(lock)]


def project(lock: str, torch: str) -> str:
    """A pyproject.toml that nothing but the pins, and what PyTorch needs beside them, can fill."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned = [f"{name}=={version} {marker}".strip() for name, version, marker in pins(lock)]
    absent = re.findall(r"^(?!torch\b)[a-z].*$", (ROOT / "requirements.override").read_text(), re.M)
    version = re.search(r'__version__ = "(.*)"', (ROOT / "toolchain/synq/__init__.py").read_text())
    assert version is not None
    return "\n".join(
        [
            "[project]",
            f'name = "synq"\nversion = "{version[1]}"',
            f'requires-python = "{whole["project"]["requires-python"]}"',
            f"dependencies = {json.dumps([*pinned, torch])}",
            "[tool.uv]",
            "package = false",
            f"environments = {json.dumps(whole['tool']['uv']['environments'])}",
            f"override-dependencies = {json.dumps([*pinned, *absent])}",
            "",
        ]
    )


def missing(sbom: str, lock: str) -> list[str]:
    """Pins that a bill of materials lacks."""
    found = {(each["name"], each["version"]) for each in json.loads(sbom)["components"]}
    return [f"{name} {version}" for name, version, _ in pins(lock) if (name, version) not in found]


def main(torch: str) -> None:
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("make sbom needs uv: pip install uv")
    lock = (ROOT / "requirements.lock").read_text()
    output = ROOT / "build" / "sbom.json"
    output.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(project(lock, torch))
        command = [
            uv,
            "export",
            "--quiet",
            "--format",
            "cyclonedx1.5",
            "--output-file",
            "sbom.json",
        ]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        text = (Path(folder) / "sbom.json").read_text()
    if lost := missing(text, lock):
        sys.exit(f"uv has left out {', '.join(lost)}")
    output.write_text(text)
    print(f"build/sbom.json: {len(json.loads(text)['components'])} components")


if __name__ == "__main__":
    main(sys.argv[1])
