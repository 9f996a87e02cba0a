"""Rewriting: every training image of a data set becomes its D* (paper, Algorithm 1, step between
the phases).

The network with the Elimination layer runs over the whole stored images, resized to its input; the
region R and the attention A it finds are carried back onto the stored image and D* is rendered
there (`render.py`). Keys, labels and order are the source's. The result is a data-set folder
with `regions.csv` and `contact_sheet.jpg` beside the records.

It is written to .partial-OUT and renamed when complete, so OUT either is whole or is not there.
Records are committed in transactions, and regions.csv is never behind them; a run that is killed
at any moment and started again continues after the last committed record, and because batches are
cut from the same positions the records come out the same.

The decoding, resizing, rendering and encoding happen in worker processes while Caffe computes
(`bench/rewrite.py` shows what remains).
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Optional, Protocol

import numpy as np

from maap.attention.class_net import open_finder
from maap.attention.region_net import Found, NotFinite
from maap.data.feeder import Transform
from maap.data.manifest import Manifest
from maap.data.store import Split
from maap.errors import MaapError
from maap.host import ranks, workers
from maap.images.a_star import find_a_star
from maap.images.boxes import Size, scale_box
from maap.rewrite import parts, worker
from maap.rewrite.output import Output
from maap.rewrite.regions import FOUND, Regions
from maap.rewrite.request import Request
from maap.rewrite.sheet import write_sheet
from maap.util.progress import say, track


class Finder(Protocol):
    """What finds regions: RegionNet, ClassNet, or a stand-in of them. `labels` are the classes of
    the batch's images; of a batch that was filled up, only those of its own."""

    size: Size

    def find(self, images: np.ndarray, labels: Optional[Sequence[int]] = None) -> Found: ...


@dataclass(frozen=True)
class RewriteResult:
    """A finished rewriting: `count` records in `folder`, of which `fallbacks` kept the whole
    image."""

    folder: Path
    count: int
    fallbacks: int
    manifest: Manifest
    seconds: float


What = Literal["load", "render"]
Question = tuple[int, What]  # of which batch what is wanted
Answer = Optional[list[int]]  # after rendering, the lengths of the Datums


class Pool:
    """Worker processes that load batches ahead of the network and render the ones behind it.

    Batch k is worker k % W's, so that the image decoded for loading is still there for rendering.
    """

    def __init__(self, job: worker.Job, batches: list[list[int]], count: int):
        self.batches = batches
        self.ahead = count
        self.slots = [worker.Slot(job) for _ in range(2 * count + 1)]
        fds = [slot.block.fd for slot in self.slots]
        self.workers = [
            workers.start("maap.rewrite.worker:run", (job, fds), f"loader {n}", shared=fds)
            for n in range(count)
        ]
        self._pending: list[deque[Question]] = [deque() for _ in range(count)]  # in order asked
        self._answers: dict[Question, Answer] = {}
        self._asked = 0

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        workers.close_all(self.workers)
        for slot in self.slots:
            slot.block.close()

    def slot(self, number: int) -> worker.Slot:
        """The shared memory of batch `number`."""
        return self.slots[number % len(self.slots)]

    def loaded(self, number: int) -> worker.Slot:
        """Waits until batch `number` (asked for in order) lies in its slot; has the next ones
        loaded meanwhile. The slot of batch number - W - 1 is used again from here on."""
        while self._asked < min(number + self.ahead + 1, len(self.batches)):
            self._ask(self._asked, "load", self.batches[self._asked])
            self._asked += 1
        self._answer(number, "load")
        return self.slot(number)

    def render(self, number: int) -> None:
        """Has batch `number` rendered from the regions and the attention in its slot."""
        self._ask(number, "render")

    def rendered(self, number: int) -> list[memoryview]:
        """Waits for `render(number)`; the batch's Datums, valid until its slot is used again."""
        lengths = self._answer(number, "render")
        return parts.cut(memoryview(self.slot(number).records), lengths)

    def _ask(self, number: int, what: What, *args: list[int]) -> None:
        owner = number % len(self.workers)
        self.workers[owner].send((what, number, number % len(self.slots), *args))
        self._pending[owner].append((number, what))

    def _answer(self, number: int, what: What) -> Answer:
        owner = number % len(self.workers)
        while (number, what) not in self._answers:
            question = self._pending[owner].popleft()
            self._answers[question] = workers.answer(self.workers[owner])
        return self._answers.pop((number, what))


def batches_of(first: int, count: int, batch: int) -> list[list[int]]:
    """The record indices first ... count - 1 in runs of `batch`."""
    return [list(range(k, min(k + batch, count))) for k in range(first, count, batch)]


def default_workers() -> int:
    """One per core that this rank has for itself, at most four: two keep up with a GPU's AlexNet on
    JPEGs. Called on every rank."""
    return min(4, ranks.cores())


def rewrite(  # noqa: PLR0917  what it is made from, in the order of its making
    source: Split,
    out: Path,
    net: Path,
    weights: Path,
    a_star: str,
    transform: Transform,
    batch: int,
    *,
    regions: Regions = FOUND,
    gpu: Optional[int] = None,
    worker_count: Optional[int] = None,
    finder: Optional[Finder] = None,
) -> RewriteResult:
    """Writes the data set of D* of every image of `source` to the folder `out`.

    net: a resolved rewrite prototxt; weights: the caffemodel of the phase before. a_star: one of
    `a_star.NAMES`. transform: only `mean` (BGR, grey levels) and `scale` are used. batch: images
    per forward pass. regions: what images are cut by. gpu: device number, None = CPU. finder: an
    object with `size` and `find`, in place of what the net asks for.

    `out` there and made by the same request is returned as it is; .partial-OUT of the same request
    is continued. Raises MaapError: `out` there but of another request, true boxes wanted that are
    not there, a map with a NaN (names the image), disk full, a damaged source record. The committed
    records stay for the next start.

    Several ranks (`host.ranks`) share the batches out, and rank 0 writes them in their order: the
    bytes are those of one rank that computes with as many threads.
    """
    started = time.monotonic()
    method = find_a_star(a_star)
    regions.check(source)
    request = Request.of(source, net, weights, method.name, transform, batch, regions)
    output = Output(Path(out), source, request)
    manifest = ranks.shared(output.finished() if ranks.first() else None)
    if manifest is not None:
        say(f"{out} is complete already: {manifest['splits'][source.name]['count']} records")
    else:
        with output:
            first = ranks.shared(_opened(output) if ranks.first() else 0)
            if first:
                say(f"rewriting continues after {first} of {len(source)} records")
            if first < len(source):
                soft = method.needs_attention
                finder = finder or open_finder(net, weights, batch, gpu, attention=soft)
                job = worker.Job.of(source, finder.size, transform, batch, method.name)
                _fill(output, job, finder, first, worker_count or default_workers())
            manifest = ranks.shared(_finished(output, transform) if ranks.first() else None)
    return _result(output, manifest, time.monotonic() - started)


def _finished(output: Output, transform: Transform) -> Manifest:
    """`Output.finish`, with a sheet that says what the images are cut by."""
    regions = output.request.cut_by
    title = "" if regions.how == "found" else f"cut by {regions.title}"
    return output.finish(lambda *picture: write_sheet(*picture, mean=transform.mean, title=title))


def _result(output: Output, manifest: Manifest, seconds: float) -> RewriteResult:
    """What a whole data set holds; says how many images are kept whole."""
    done = Request.from_json(manifest["rewritten"])
    fallbacks = done.fallbacks or 0
    if fallbacks:
        say(
            f"{fallbacks} of {done.records} attention maps were flat: "
            "those images are kept whole"
        )
    return RewriteResult(output.out, done.records, fallbacks, manifest, seconds)


def _opened(output: Output) -> int:
    """`Output.open`, without what ranks left in the folder."""
    first = output.open()
    parts.clear(output.partial)
    return first


def _fill(output: Output, job: worker.Job, finder: Finder, first: int, count: int) -> None:
    """Rewrites the records first, first + 1 ... with `count` workers."""
    source = output.source
    batches = batches_of(first, len(source), job.batch)
    mine = [batches[n] for n in ranks.of_this_rank(len(batches))]
    rounds = -(-len(batches) // ranks.here().size)  # in each, every rank gives a batch, or none
    count = min(count, len(mine))
    with track("rewriting", total=len(source)) as progress:
        progress.already(first)
        with Pool(job, mine, count) as pool:
            for number in range(rounds + count):
                if number < len(mine):
                    _forward(pool, number, finder, output)
                behind = number - count  # its worker has had a forward pass's time to render it
                if behind < 0:
                    continue
                for batch in _batches(output, _rendered(pool, behind), behind):
                    output.write(batch.datums, batch.indices, batch.regions, batch.stats)
                    progress.advance(len(batch.indices), fallbacks=output.fallbacks)
    if ranks.first():
        parts.clear(output.partial)


def _forward(pool: Pool, number: int, finder: Finder, output: Output) -> None:
    """Runs the net on batch `number` and hands what it found, or the boxes in its place, to the
    workers."""
    source, regions = output.source, output.request.cut_by
    slot = pool.loaded(number)
    indices = pool.batches[number]
    try:
        found = finder.find(slot.images, [source.records[index].label for index in indices])
    except NotFinite as error:
        record = source.records[indices[min(error.index, len(indices) - 1)]]
        raise MaapError(
            f"the attention map of image {record.key} is not finite ({error}); the weights have "
            "diverged: use an earlier snapshot, or train with a smaller learning rate"
        ) from None
    for n, index in enumerate(indices):
        box = scale_box(found.regions[n], finder.size, source.size)
        slot.regions[n] = regions.box(box, source.records[index], source.size)
    if find_a_star(output.request.a_star).needs_attention:
        slot.attention[:] = found.attention
    slot.stats[:] = found.stats
    slot.thresholds[:] = np.where(found.stats[:, 4] > 0, np.inf, found.stats[:, 0])
    if not regions.fall_back:
        slot.stats[:, 4] = 0
    pool.render(number)


class _Batch(NamedTuple):
    """A batch that is rendered. datums: none on the way to rank 0, which takes them from a file;
    lengths: of the Datums, on that way alone."""

    indices: list[int]
    regions: np.ndarray
    stats: np.ndarray
    datums: Sequence[memoryview] = ()
    lengths: Sequence[int] = ()


def _rendered(pool: Pool, number: int) -> Optional[_Batch]:
    """This rank's batch `number`; None: it has no such batch."""
    if number >= len(pool.batches):
        return None
    slot = pool.slot(number)
    return _Batch(pool.batches[number], slot.regions, slot.stats, pool.rendered(number))


def _batches(output: Output, own: Optional[_Batch], number: int) -> Iterator[_Batch]:
    """On rank 0, the batches of all ranks in round `number`, in their order; none on the others,
    which hand theirs over."""
    if own is not None and not ranks.first():
        lengths = parts.give(output.partial, number, own.datums)
        own = own._replace(datums=(), lengths=lengths)
    for rank, batch in enumerate(ranks.collected(own)):
        if batch is not None and rank:
            datums = parts.take(output.partial, rank, number, batch.lengths)
            batch = batch._replace(datums=datums)
        if batch is not None:
            yield batch
