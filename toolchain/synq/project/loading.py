"""A network as a file that the driver loads into a running core."""

import io
import json

import numpy as np

from synq.network import QuantizedNetwork
from synq.rtl.design import RtlDesign
from synq.rtl.reload import network_words

_FORMAT = "synq-load-1"


def render_load(core: QuantizedNetwork, design: RtlDesign, network: QuantizedNetwork) -> bytes:
    """The words that are sent, and what the driver has to know of the network; as `.npz`.

    Args:
        core: the network that the core was exported with.
        design: of the core.

    Raises:
        SynqError: the core's network is fixed, or it is not built for this one.
    """
    words = network_words(core, design, network)
    about = {
        "format": _FORMAT,
        "digest": network.digest,
        "input_integer": network.input_format.integer,
        "output_unit": network.output_unit,
    }
    text = json.dumps(about, sort_keys=True).encode()
    buffer = io.BytesIO()
    # Not compressed: zlib builds differ. The zip entries carry the fixed date 1980-01-01.
    np.savez(buffer, allow_pickle=False, about=np.frombuffer(text, dtype=np.uint8), words=words)
    return buffer.getvalue()
