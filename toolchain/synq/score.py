"""How well a network does its task: one number on a set of samples, whatever the task."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synq.network import QuantizedNetwork, accuracy, classes_of


class Task(StrEnum):
    """What the outputs mean. The hardware is the same for both."""

    CLASSIFICATION = "classification"  # the class is the largest output; of one, its sign
    REGRESSION = "regression"  # the outputs are real numbers in the targets' units

    @property
    def metric(self) -> str:
        """What its score is called: the accuracy in percent, or the root mean square error."""
        return "accuracy" if self is Task.CLASSIFICATION else "rmse"

    @property
    def words(self) -> str:
        """The metric and its unit, as people read it."""
        return "accuracy, %" if self is Task.CLASSIFICATION else "root mean square error"

    @property
    def higher_is_better(self) -> bool:
        return self is Task.CLASSIFICATION

    def number(self, score: float) -> str:
        """A score without its unit: two decimals of a percentage, four digits of an error."""
        return f"{score:.2f}" if self is Task.CLASSIFICATION else f"{score:.4g}"

    def shown(self, score: float) -> str:
        """A score as people read it, with its unit.

        >>> Task.CLASSIFICATION.shown(96.5), Task.REGRESSION.shown(54.32109)
        ('96.50 %', 'RMSE 54.32')
        """
        number = self.number(score)
        return f"{number} %" if self is Task.CLASSIFICATION else f"RMSE {number}"


@dataclass(frozen=True)
class Scores:
    """The score of each stage of a network, from software to simulation.

    Attributes:
        spread: root mean square distance of the test targets from their means, which is the error
            of a network that answers them always; 0 for classes.
        stages: score by stage.
    """

    task: Task
    spread: float
    stages: dict[str, float] = field(default_factory=dict)

    def with_stage(self, stage: str, score: float) -> "Scores":
        return Scores(self.task, self.spread, {**self.stages, stage: score})

    def explained(self, stage: str) -> float:
        """R squared, the share of the targets' variance that a stage explains; at most 1."""
        return round(1 - (self.stages[stage] / self.spread) ** 2, 6) if self.spread else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For manifest and JSON: `accuracy` by stage; or `rmse` and `r2`."""
        if self.task is Task.CLASSIFICATION:
            return {self.task.metric: self.stages}
        return {
            self.task.metric: self.stages,
            "r2": {stage: self.explained(stage) for stage in self.stages},
        }


def real_score(task: Task, outputs: NDArray[np.floating[Any]], labels: NDArray[Any]) -> float:
    """The score of real outputs `(n, n_out)`.

    Args:
        labels: (n,) class numbers; or (n, n_out) real targets.
    """
    if task is Task.CLASSIFICATION:
        return rounded(task, 100 * float(np.mean(classes_of(outputs) == labels)))
    errors = outputs.astype(np.float64) - labels
    return rounded(task, float(np.sqrt(np.mean(errors**2))))


def integer_score(
    task: Task, network: QuantizedNetwork, answers: NDArray[np.int64], labels: NDArray[Any]
) -> float:
    """The score of what the integer reference, and so the hardware, has computed.

    Args:
        answers: (n_samples, n_out) raw, as `QuantizedNetwork.answers`.
    """
    if task is Task.CLASSIFICATION:
        return rounded(task, accuracy(classes_of(answers), labels))
    return real_score(task, answers * network.output_unit, labels)


def rounded(task: Task, score: float) -> float:
    """As it is stated: percent to four decimals, an error to six digits."""
    return round(score, 4) if task is Task.CLASSIFICATION else float(f"{score:.6g}")


def spread_of(task: Task, labels: NDArray[Any]) -> float:
    """`Scores.spread` of the test labels."""
    if task is Task.CLASSIFICATION:
        return 0.0
    return float(np.sqrt(np.mean((labels - labels.mean(axis=0)) ** 2)))
