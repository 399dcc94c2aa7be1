"""What the paper prints of its results: MNIST, network 784-128-10.

Lee, Lee, Lee, Kim, Seo, "Uniform Quantization Method for Synaptic Device".
"""

from dataclasses import dataclass

SIZES = (784, 128, 10)
SOFTWARE = 96.47  # accuracy in percent
PROPOSED_AT_10 = 95.75  # of the proposed method with 10 levels
GAP_AT_5 = 11.0  # points by which it is above the sampling method with 5 levels, "about"


@dataclass(frozen=True)
class Comparison:
    """A figure of the paper beside ours, which is None if it was not swept."""

    name: str
    paper: float
    ours: float | None
