"""The driver folder: what runs the network on a PYNQ board, complete with reference vectors.

`overlay.py` is shipped as it is; what differs from network to network is data beside it. It serves
every accelerator that keeps the stream contract of `synq.stream`, in beats of 64 bits or more.
"""

import io
import json
from collections.abc import Mapping

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from synq.network import QuantizedNetwork, Trace
from synq.resources import folder
from synq.stream import check_logits

_FORMAT = "synq-driver-2"


def render_driver(
    network: QuantizedNetwork,
    inputs: NDArray[np.uint8 | np.int8],
    expected: Trace,
    labels: NDArray[np.int64],
    title: str,
    beat_bits: Mapping[str, int],
) -> dict[str, bytes]:
    """The driver, by file name in the project's folder `driver`.

    Args:
        inputs: (n_samples, n_in) raw integers, the reference vectors.
        expected: the integer reference for them.
        labels: (n_samples,) class numbers, or (n_samples, n_out) real targets.
        title: of the notebook.
        beat_bits: by the name of a bit file, the width of the stream to its accelerator. The driver
            takes the first one that is there.

    Raises:
        SynqError: a logit does not fit the stream.
    """
    check_logits(network)
    templates = folder("hls_templates") / "driver"
    about = {
        "format": _FORMAT,
        "digest": network.digest,
        "beat_bits": dict(beat_bits),
        "n_in": network.sizes[0],
        "n_out": network.sizes[-1],
        "input_bits": network.input_format.width,
        "input_signed": network.input_format.signed,
        "input_integer": network.input_format.integer,
        "output_unit": network.output_unit,
        "read_noise": network.noisy,
    }
    return {
        "overlay.py": (templates / "overlay.py").read_bytes(),
        "network.json": (json.dumps(about, indent=2, sort_keys=True) + "\n").encode("ascii"),
        "vectors.npz": _vectors(network, inputs, expected, labels),
        "synq.ipynb": _notebook((templates / "synq.ipynb").read_text("utf-8"), network, title),
    }


def _vectors(
    network: QuantizedNetwork,
    inputs: NDArray[np.uint8 | np.int8],
    expected: Trace,
    labels: NDArray[np.int64],
) -> bytes:
    buffer = io.BytesIO()
    # Not compressed: zlib builds differ. The zip entries carry the fixed date 1980-01-01.
    np.savez(
        buffer,
        digest=np.array(network.digest),
        inputs=inputs,
        logits=expected.accumulators[-1].astype(np.int32),
        classes=expected.classes,
        labels=labels,
    )
    return buffer.getvalue()


def _notebook(template: str, network: QuantizedNetwork, title: str) -> bytes:
    """The notebook with its text filled in; the code is the same for every network.

    Cell by cell, so that no name can end a JSON string.
    """
    notebook = json.loads(template)
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    sizes = " - ".join(map(str, network.sizes))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = environment.from_string("".join(cell["source"])).render(
                title=title, sizes=sizes, digest=network.digest
            )
            cell["source"] = text.splitlines(keepends=True)
    return (json.dumps(notebook, indent=1, sort_keys=True) + "\n").encode("ascii")
