from pathlib import Path

from synq.learn.importers.steps import Step


def steps_of_onnx(content: bytes, folder: Path) -> list[Step]:
    raise NotImplementedError
