"""What a command is to be applied to, as a person names it: a run, or weights with their net.

`runs.subject` finds the files that a request stands for.
"""

from dataclasses import dataclass
from typing import Optional

from maap.errors import MaapError

# What a run has of its own, so that it cannot be given beside one.
_OF_A_RUN = ("net", "variant", "input_scale")


@dataclass(frozen=True)
class Request:
    """The options that evaluate, rewrite and visualize share; None: not given.

    run: name or folder of a run. phase: weights after that phase, by its number. weights: a
    .caffemodel, or the name of published weights; with a run, in place of its own. data: as for
    `maap train`. regions: what rewritten images are cut by; threshold_at to border: how regions are
    found (`images.region_options`); attention, attention_layer: from what; with a run, each in
    place of its own. batch: images in one pass.
    """

    run: Optional[str] = None
    runs_dir: str = "runs"
    phase: Optional[int] = None
    weights: Optional[str] = None
    net: Optional[str] = None
    variant: Optional[str] = None
    input_scale: Optional[float] = None
    data: Optional[str] = None
    a_star: Optional[str] = None
    regions: Optional[str] = None
    threshold_at: Optional[str] = None
    threshold: Optional[str] = None
    threshold_fraction: Optional[float] = None
    component: Optional[str] = None
    connectivity: Optional[int] = None
    padding: Optional[float] = None
    border: Optional[int] = None
    attention: Optional[str] = None
    attention_layer: Optional[str] = None
    batch: Optional[int] = None
    gpu: Optional[int] = None

    def check(self, own_weights: bool = False) -> None:
        """Raises MaapError for options that do not go together, so that none is ignored.

        own_weights: a run is shown with weights of its own only.
        """
        fixed = (*_OF_A_RUN, "weights") if own_weights and self.run else _OF_A_RUN
        given = [option(name) for name in fixed if getattr(self, name) is not None]
        names = ", ".join(given)
        if self.run is not None and given:
            raise MaapError(
                f"{names}: run {self.run} has its own; give either the run or --weights FILE with "
                "these"
            )
        if self.run is not None and self.weights is not None and self.phase is not None:
            raise MaapError("--phase names weights of the run; give either it or --weights FILE")
        if self.run is None and self.weights is None and given:
            raise MaapError(f"{names}: give --weights FILE, too: the weights of that net")
        if self.run is None and self.weights is not None and self.phase is not None:
            raise MaapError("--phase is for a run; with --weights FILE leave it out")


def option(name: str) -> str:
    """The option of a field of Request: ``--input-scale``."""
    return "--" + name.replace("_", "-")
