"""What `maap insert` says of a network: its maps, where the attention layers go, and why there."""

from typing import Optional

from maap.errors import MaapError
from maap.nets import folder
from maap.nets.imported import Network
from maap.nets.placement import ROOMY, Plan, maps, nothing_to_recommend, plan
from maap.nets.prototxt import read_net
from maap.nets.shapes import Shape
from maap.util.schema import LayerParameter, NetParameter

_KINDS = ("Enhancement", "Elimination")
_OPTIONS = ("--enhance-after", "--eliminate-after")


def dry_run(network: Network, shapes: dict[str, Shape], *asked: Optional[str]) -> list[str]:
    """The layers that make maps, and where the two would go, as lines to print; ``asked``: the
    layers named for Enhancement and for Elimination. Raises MaapError as `placement.plan` does,
    but not where there is nothing to recommend."""
    try:
        made = plan(network, shapes, *asked)
    except MaapError:
        if any(asked):
            raise
        made = None
    lines = [
        f"{network.name}: input 3 x {network.size} x {network.size}, "
        f"classifier {network.classifier}",
        *_table(network, shapes, made),
    ]
    if made is None:
        return [*lines, nothing_to_recommend(network, shapes)]
    return lines + describe(made, *asked)


def _table(network: Network, shapes: dict[str, Shape], made: Optional[Plan]) -> list[str]:
    found = maps(network, shapes)
    wide = max((len(layer.name) for layer, _ in found), default=5)
    kind = max((len(layer.type) for layer, _ in found), default=4)
    lines = [f"{'layer':{wide}}  {'type':{kind}}  map (C x h x w)"]
    for layer, shape in found:
        places = () if made is None else zip(_KINDS, (made.enhance, made.eliminate))
        marks = [what for what, place in places if place.after == layer.name]
        text = f"{layer.name:{wide}}  {layer.type:{kind}}  {_written(shape)}"
        lines.append(f"{text}{'  <- ' + ', '.join(marks) if marks else ''}")
    return lines


def describe(made: Plan, *asked: Optional[str]) -> list[str]:
    """Where the two layers go, and why there, as lines to print; ``asked``: the layers named."""
    lines = []
    for name, what, which, place in zip(
        asked, _KINDS, ("first", "last"), (made.enhance, made.eliminate)
    ):
        reason = (
            f"recommended: the {which} map of {ROOMY} x {ROOMY} or more that every path from the "
            "images to the classifier passes through"
        )
        if name is not None:
            reason = "as asked" if name == place.after else f"it finishes the map of {name}"
        lines.append(f"{what} after {place.after}, map {_written(place.shape)} ({reason})")
    return lines + _papers_choice(made, *asked)


def _written(shape: Shape) -> str:
    return " x ".join(map(str, shape))


# ---- the paper's own networks -------------------------------------------------------------------

_PAPERS_NETS = ("alexnet", "vgg19", "resnet152")  # not torchvision's of the same layers


def _papers_choice(made: Plan, *asked: Optional[str]) -> list[str]:
    """For a network of the paper: where the paper has the layers, if what is recommended is
    elsewhere."""
    lines = []
    places = (made.enhance, made.eliminate)
    for net in _PAPERS_NETS:
        rewrite = read_net(folder.find_net(net).rewrite(True))
        if not _is_part_of(rewrite, made.network):
            continue
        for kind, option, name, place in zip(_KINDS, _OPTIONS, asked, places):
            after = _after(rewrite, kind)
            if name is None and after != place.after:
                lines.append(
                    f"the paper has {kind} of {rewrite.name} after {after}: for that, give "
                    f"{option} {after}"
                )
    return lines


def _is_part_of(rewrite: NetParameter, network: Network) -> bool:
    """Whether ``network`` begins with the layers of a rewrite net of the paper: the same names,
    types and numbers of outputs."""
    own = {_identity(layer) for layer in network.path}
    wanted = [layer for layer in rewrite.layer if layer.type not in (*_KINDS, "Input")]
    return all(_identity(layer) in own for layer in wanted)


def _identity(layer: LayerParameter) -> tuple[str, str, int]:
    return layer.name, layer.type, layer.convolution_param.num_output


def _after(rewrite: NetParameter, kind: str) -> str:
    """The layer before the attention layer of that kind, in the order of the file."""
    number = next(n for n, layer in enumerate(rewrite.layer) if layer.type == kind)
    return rewrite.layer[number - 1].name
