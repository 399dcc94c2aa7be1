"""The bill of materials is made of the lock file, and one that lacks a package is refused."""

import json
import tomllib

from licences import locked
from test_site import ROOT, script

LOCK = (ROOT / "requirements.lock").read_text()
sbom = script("sbom")


def test_its_project_pins_what_is_locked() -> None:
    made = tomllib.loads(sbom.project(LOCK, "torch==9.9"))
    asked = made["project"]["dependencies"]
    assert {each.partition("==")[0] for each in asked} == locked("requirements.lock") | {"torch"}
    assert asked[-1] == "torch==9.9"
    forced = made["tool"]["uv"]["override-dependencies"]
    assert set(asked[:-1]) < set(forced)
    # In place of tensorflow there is tensorflow-cpu; PyTorch is asked for, and not left out.
    assert "tensorflow ; sys_platform == 'never'" in forced
    assert not any(each.startswith("torch") for each in forced)


def test_a_package_that_is_left_out_is_found() -> None:
    whole = [{"name": name, "version": version} for name, version, _ in sbom.pins(LOCK)]
    assert len(whole) > 70
    assert sbom.missing(json.dumps({"components": whole}), LOCK) == []
    name, version = whole[5].values()
    whole[5]["version"] = "0"
    assert sbom.missing(json.dumps({"components": whole}), LOCK) == [f"{name} {version}"]
