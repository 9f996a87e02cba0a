"""Which net, weights, images and transform does a run or a weights file stand for?

One answer for all commands that apply a trained net to images: evaluate, rewrite, visualize.

    a run      its prototxts, the weights after its last finished phase, its data set; another
               data set (--data) is brought to the same stored size in the same way
    weights    a net folder's prototxts and the transform of its Data layer; images are stored at
               the size that the net's input asks for
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from maap.config.fields import TrainConfig
from maap.data import find
from maap.data.feeder import Transform
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.images.boxes import Size
from maap.images.pixels import POLICIES
from maap.images.region_options import NAMES, RegionOptions
from maap.nets import layer_types
from maap.nets.attention_layers import region_options_of
from maap.nets.attention_source import (
    AttentionSource,
    attended,
    class_map_of,
    layer_looked_at,
    scorer_of,
)
from maap.nets.folder import NetFiles, find_net
from maap.nets.prototxt import read_net, write_text
from maap.nets.resolve import (
    check_border,
    resolve_deploy,
    resolve_rewrite,
    with_region_options,
)
from maap.nets.transform import data_transform
from maap.runs import feed
from maap.runs.request import Request, option
from maap.runs.run import REWRITE, Run, find_run, finder_of, resume_command
from maap.util.schema import NetParameter
from maap.weights.caffemodel import check_weights, stored_layers
from maap.weights.published import find_weights

_NOTHING = Request()  # given by hand


@dataclass(frozen=True)
class Subject:
    """What a command works with.

    title: what to call it. deploy, rewrite: resolved prototxts; no rewrite where nothing is
    rewritten. attention: the rewrite net to show attention with: ``finder``, else the net
    folder's, else None. finder: the net that finds regions, None where there is none. stored,
    policy: size of the stored images, and how an image is brought to it (`images.pixels.fit`).
    regions, seed: what rewritten images are cut by. data: None when it was not asked for.
    """

    title: str
    deploy: Path
    rewrite: Optional[Path]
    attention: Optional[Path]
    weights: Path
    transform: Transform
    stored: Size
    policy: str
    batch: int
    a_star: str
    data: Optional[Dataset] = None
    gpu: Optional[int] = None
    finder: Optional[Path] = None
    regions: str = "found"
    seed: int = 1

    def finding_by(self, path: Path) -> "Subject":
        """The same with another net that finds regions; where nothing is rewritten, nothing is."""
        rewrite = None if self.rewrite is None else path
        return dataclasses.replace(self, rewrite=rewrite, attention=path, finder=path)

    @property
    def dataset(self) -> Dataset:
        """The data set of a subject that was resolved with one."""
        assert self.data is not None, "resolve(..., with_data=True)"
        return self.data


def resolve(request: Request, work: Path, with_data: bool = True) -> Subject:
    """What a request stands for. Prototxts that have to be made are written into ``work``.

    Raises MaapError: neither a run nor weights, options that do not go together, no such run, net,
    data or file, a run without weights, weights of another net.
    """
    request.check()
    if request.run is not None:
        run = find_run(Path(request.runs_dir), request.run)
        found = _looking_elsewhere(of_run(run, request, with_data), run, request, work)
        return _with_options(found, request, work)
    if request.weights is None:
        raise MaapError("give the name of a run, or --weights FILE (and --net, --data)")
    return _of_weights(request, work, with_data)


def of_run(run: Run, request: Request = _NOTHING, with_data: bool = False) -> Subject:
    """A run with its newest weights, or those the request names.

    Raises MaapError when the run has no such weights, or its data set is wanted and gone."""
    state, config = run.state(), run.config()
    weights, title = _weights_of(run, request)
    stored, policy = _stored(Path(state.data.folder), config)
    data = None
    if with_data and request.data is None:
        data = feed.open_data(state)
    elif with_data:
        partial = config.allow_partial_data
        data = Dataset.open(find.find_data(str(request.data), max(stored), policy, partial))
    rewrite: Optional[Path] = run.folder / REWRITE
    rewrite = rewrite if rewrite.is_file() else None
    return Subject(
        title=title,
        deploy=run.folder / "deploy.prototxt",
        rewrite=rewrite,
        attention=finder_of(run.folder) or _rewrite_of_net(config),
        finder=finder_of(run.folder),
        weights=weights,
        transform=feed.transform(run, state, "TEST"),
        stored=stored,
        policy=policy,
        batch=request.batch or int(config.batch or 1),
        a_star=config.a_star,
        regions=request.regions or config.regions,
        seed=config.seed,
        data=data,
        gpu=request.gpu,
    )


def _with_options(subject: Subject, request: Request, work: Path) -> Subject:
    """A run's subject with the regions that the request wants; nothing changes where it names
    none.

    Raises MaapError for options that cannot be, and where no net of the run finds regions.
    """
    given = [name for name in NAMES if getattr(request, name) is not None]
    if not given:
        return subject
    if subject.attention is None:
        raise MaapError(f"{', '.join(map(option, given))}: {subject.title} has no rewrite net")
    net = read_net(subject.attention)
    options = region_options_of(net).changed(request)
    path = work / REWRITE
    _write_rewrite(with_region_options(net, options), options, path)
    return subject.finding_by(path)


def _write_rewrite(net: NetParameter, options: RegionOptions, path: Path) -> None:
    check_border(net, options.border)
    write_text(net, path)


def _weights_of(run: Run, request: Request) -> tuple[Path, str]:
    """The weights file, and what to call the run with them."""
    if request.weights is not None:
        path = find_weights(request.weights, run.config().net)
        return path, f"{run.name} with {path.name}"
    ready = run.weights()
    if request.phase is not None:
        ready = [path for path in ready if path.parent.name == f"phase{request.phase}"]
    if not ready:
        which = "no weights" if request.phase is None else f"no weights of phase {request.phase}"
        raise MaapError(f"run {run.name} has {which} yet; continue: {resume_command(run)}")
    return ready[-1], f"{run.name} after {ready[-1].parent.name.replace('phase', 'phase ')}"


def _looking_elsewhere(subject: Subject, run: Run, request: Request, work: Path) -> Subject:
    """A run's subject with the attention that the request wants; the same where it wants none.

    Raises MaapError as `attended` does, and where there is no net that finds regions.
    """
    if request.attention is None and request.attention_layer is None:
        return subject
    config = run.config()
    kind = request.attention or config.attention
    layer = request.attention_layer
    if layer is None and kind != "cam":
        layer = config.attention_layer
    files = find_net(config.net)
    like = read_net(finder_of(run.folder) or files.rewrite(config.laap))
    if layer is None and kind != "cam":  # that of a net which says so
        plain = class_map_of(like) is None
        layer = layer_looked_at(like if plain else read_net(files.rewrite(config.laap)))
    path = work / REWRITE
    source = AttentionSource(kind, layer)
    write_text(attended(like, read_net(subject.deploy), source), path)
    return subject.finding_by(path)


def _rewrite_of_net(config: TrainConfig) -> Optional[Path]:
    """The rewrite net of the net folder that a run was trained from, if it is still there."""
    try:
        return find_net(config.net).rewrite(config.laap)
    except MaapError:
        return None


def _stored(folder: Path, config: TrainConfig) -> tuple[Size, str]:
    """Size of a run's stored images and how images were brought to it; when the data set is gone,
    what the settings say."""
    try:
        manifest = Dataset.open(folder).manifest
    except MaapError:
        size = find.stored_size(config)
        return (size, size), config.resize
    policy = (manifest.get("source") or {}).get("policy", "warp")
    height, width = manifest["size"]
    return (int(height), int(width)), policy if policy in POLICIES else "short_side"


def _of_weights(request: Request, work: Path, with_data: bool) -> Subject:
    names = ("net", "variant", "a_star", "attention", "attention_layer", *NAMES)
    chosen = {name: getattr(request, name) for name in names}
    config = TrainConfig(**{name: value for name, value in chosen.items() if value is not None})
    files = find_net(config.net)
    how = data_transform(read_net(files.train_val(config.laap)), "TEST")
    batch = request.batch or int(how["batch_size"])
    weights = find_weights(str(request.weights), files.name)
    size = find.stored_size(config)
    data, deploy = None, files.deploy(config.laap)
    if with_data:
        data = Dataset.open(find.find_data(request.data or config.data, size, config.resize))
        net = resolve_deploy(files, config.laap, len(data.classes), batch)
        check_weights(net, weights)
        deploy = work / "deploy.prototxt"
        write_text(net, deploy)
    else:
        net = read_net(deploy)
        if not AttentionSource.of(config).usual:
            net = resolve_deploy(files, config.laap, _classes_in(weights, net), 1)
    rewrite = _resolved_rewrite(files, config, batch if with_data else 1, net, work)
    return Subject(
        title=f"{files.name} with {weights.name}",
        deploy=deploy,
        rewrite=rewrite,
        attention=rewrite,
        finder=rewrite,
        weights=weights,
        transform=feed.make_transform(
            how["crop_size"],
            how["mirror"],
            how["mean_value"],
            how["mean_file"],
            request.input_scale or how["scale"],
        ),
        stored=(size, size),
        policy=config.resize,
        batch=batch,
        a_star=config.a_star,
        regions=request.regions or config.regions,
        data=data,
        gpu=request.gpu,
    )


def _classes_in(weights: Path, deploy: NetParameter) -> int:
    """How many classes the weights of a net are for; where they lack the classifier, as many as the
    net has."""
    name = scorer_of(deploy).classifier
    classifier = next(layer for layer in deploy.layer if layer.name == name)
    shapes = {layer.name: layer.shapes for layer in stored_layers(weights)}
    if not shapes.get(name):
        return int(layer_types.learnt(classifier).num_output)
    rows = -2 if classifier.type == "InnerProduct" else 0  # old files have four axes
    return shapes[name][0][rows]


def _resolved_rewrite(
    files: NetFiles, config: TrainConfig, batch: int, deploy: NetParameter, work: Path
) -> Optional[Path]:
    try:
        files.rewrite(config.laap)
    except MaapError:
        return None  # a net folder without Elimination
    path = work / REWRITE
    options = RegionOptions.of(config)
    net = resolve_rewrite(files, config.laap, batch, config.a_star, options)
    _write_rewrite(attended(net, deploy, AttentionSource.of(config)), options, path)
    return path
