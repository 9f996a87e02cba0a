"""Reading a study from its YAML file.

    title, about      on top of the page
    data, nets, seeds, weights, settings, paper
                      for all parts; a part may have its own
    parts: a list of
      name            of its files (default: the study's, with a number where there are several)
      title, about, notes
                      notes: paragraphs under the table
      measure         top1 (default) or regions
      against         the label of the row, or a list of them, that every other row is compared
                      with; a row may have its own, and [] for none
      paper           {source, of, data, status, note}: where the paper's figures come from
      rows: a list of
        label, settings, against, note
        paper         percent, {percent, source, status, what}, or one of these by net
        others        {percent, source, status, what} or a list of them: published repetitions
        after         phase1: the result after phase 1, not after the last phase
        reference     whole or centred_half, in a part that measures regions
        script        {file, options}: a Python file that makes the row (`study.scripts`)

Every mistake is a MaapError that names the file and the key.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from maap.config.check import check_settings, load_yaml
from maap.config.values import Settings, Value
from maap.errors import MaapError
from maap.nets.folder import find_net
from maap.study.definition import PER_RUN, Part, Row, Script, Study, net_name, region_settings
from maap.study.figures import READ, STATUSES, Figure, PaperNote
from maap.util.text import nearest

FOLDER = Path(__file__).with_name("studies")
_COMMON = ("data", "nets", "seeds", "weights", "settings", "paper")
_STUDY = ("title", "about", *_COMMON, "parts")
_PART = ("name", "title", "about", "notes", "measure", "against", *_COMMON, "rows")
_ROW = ("label", "settings", "paper", "others", "against", "after", "reference", "note", "ours")
_ROW += ("script",)
_SCRIPT = ("file", "options")
_FIGURE = ("percent", "source", "status", "what")
_PAPER = ("source", "of", "data", "status", "note")
_LONGEST = 100  # characters of a part's name, which its files' names begin with


def shipped() -> list[str]:
    """The names of the studies that come with maap."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find_study(word: str) -> Study:
    """The study of that name, or in that file. Raises MaapError with the nearest names."""
    path = Path(word)
    if word in shipped():
        path = FOLDER / f"{word}.yaml"
    elif path.suffix not in (".yaml", ".yml") and not path.is_file():
        raise MaapError(f"no study {word}; {nearest(word, shipped())}; or give a file, FILE.yaml")
    return read_study(path)


def read_study(path: Path) -> Study:
    """The study in a file. Raises MaapError naming the file and the key."""
    content = load_yaml(path)
    if content is None:
        raise MaapError(
            f"{path}: the file is empty; write a study, such as the example in docs/studies.md"
        )
    place = _Place(str(path), content)
    place.check_keys(_STUDY)
    parts = place.items("parts")
    common = _Common.read(place, _Common())
    name = path.stem
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:_LONGEST] or "study"
    names = [stem if len(parts) == 1 else f"{stem}{number}" for number in range(1, len(parts) + 1)]
    made = [_part(part, common, default) for part, default in zip(parts, names)]
    twice = [part.name for part in made if [p.name for p in made].count(part.name) > 1]
    if twice:
        raise MaapError(f"{path}: two parts have the name {twice[0]}")
    return Study(name, place.text("title", name), made, place.text("about"))


# ---- a place in the file, and what may stand there ----------------------------------------------


class _Place:
    """A mapping in the file; ``where`` names it in errors."""

    def __init__(self, where: str, content: object) -> None:
        self.where = where
        if not isinstance(content, Mapping):
            raise MaapError(f"{where}: {content!r} is not a list of keys such as `label: LAAP`")
        self.content = content

    def error(self, key: str, text: str) -> MaapError:
        return MaapError(f"{self.where}: {key}: {text}")

    def check_keys(self, known: Sequence[str]) -> None:
        for key in self.content:
            if key not in known:
                raise MaapError(f"{self.where}: no key {key!r} here; {nearest(str(key), known)}")

    def has(self, key: str) -> bool:
        return self.content.get(key) is not None

    def text(self, key: str, default: Optional[str] = "") -> str:
        """The text of a key; one without a default is needed."""
        value = self.content.get(key, default)
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise self.error(key, "missing" if value is None else f"{value!r} is not text")
        return self._line(key, value)

    def _line(self, key: str, value: object) -> str:
        """A text as one line."""
        line = " ".join(str(value).split())
        if not line.isprintable():
            raise self.error(key, f"{line!r} has characters that cannot be printed")
        return line

    def choice(self, key: str, known: Sequence[str], default: Optional[str] = None) -> Any:
        value = self.content.get(key, default)
        if value is not None and value not in known:
            raise self.error(key, f"{value!r}; {nearest(str(value), known)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A text or a list of texts."""
        value = self.content.get(key)
        listed = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(each, (str, int)) and not isinstance(each, bool) for each in listed):
            raise self.error(key, f"{value!r}; give a text or a list of texts")
        return tuple(self._line(key, each) for each in listed)

    def items(self, key: str) -> list["_Place"]:
        """A list of mappings, not empty."""
        value = self.content.get(key)
        if not isinstance(value, list) or not value:
            raise self.error(key, "missing" if value is None else "give a list of at least one")
        name = key[:-1] if key.endswith("s") else key
        return [_Place(f"{self.where}, {name} {n}", each) for n, each in enumerate(value, 1)]

    def inner(self, key: str) -> "_Place":
        return _Place(f"{self.where}: {key}", self.content[key])

    def number(self, key: str) -> float:
        value = self.content.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, "missing" if value is None else f"{value!r} is not a number")
        return float(value)

    def settings(self) -> Settings:
        """Settings of a training, checked."""
        if not self.has("settings"):
            return {}
        given = self.inner("settings")
        own = [name for name in given.content if name in PER_RUN]
        if own:
            raise self.error("settings", f"{own[0]} is for the study to set; leave it out")
        return check_settings(given.content, where=f"{given.where}: ")

    def inner_settings(self) -> Settings:
        """Those of a part or a row."""
        found = self.settings()
        if "runs_dir" in found:
            raise self.error("settings", "runs_dir is for the whole study; leave it out")
        return found


class _Common:
    """What a study says for all its parts, and a part may say of itself."""

    def __init__(self) -> None:
        self.nets: tuple[str, ...] = ("alexnet",)
        self.seeds: tuple[int, ...] = (1, 2, 3)
        self.settings: Settings = {}
        self.weights: object = None
        self.paper: Optional[PaperNote] = None

    @classmethod
    def read(cls, place: _Place, before: "_Common") -> "_Common":
        found = cls()
        found.nets = _nets(place) or before.nets
        found.seeds = _seeds(place) or before.seeds
        found.settings = {**before.settings, **place.settings()}
        if place.has("data"):
            found.settings["data"] = place.text("data")
        found.weights = place.content.get("weights", before.weights)
        found.paper = _paper(place.inner("paper")) if place.has("paper") else before.paper
        return found


def _nets(place: _Place) -> tuple[str, ...]:
    nets = place.texts("nets")
    if place.content.get("nets") == [] or "" in nets:
        value = place.content["nets"]
        raise place.error("nets", f"{value!r}; give a list of nets, such as [alexnet, vgg19]")
    names = [net_name(net) for net in nets]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise place.error("nets", f"two are called {twice[0]}; name each once")
    return nets


def _seeds(place: _Place) -> tuple[int, ...]:
    value = place.content.get("seeds")
    if value == []:
        raise place.error("seeds", "give at least one")
    listed = value if isinstance(value, list) else [] if value is None else [value]
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in listed)
    if not whole or any(seed < 0 for seed in listed) or len(set(listed)) < len(listed):
        raise place.error("seeds", f"{value!r}; give whole numbers of at least 0, each once")
    return tuple(listed)


def _paper(place: _Place) -> PaperNote:
    place.check_keys(_PAPER)
    needed = {key: place.text(key, None) for key in ("source", "of", "data")}
    status = place.choice("status", STATUSES, READ)
    return PaperNote(**needed, status=status, note=place.text("note"))


def _weights(place: _Place, value: object, nets: Sequence[str]) -> dict[str, str]:
    """{net: file}."""
    if value is None:
        return {}
    if isinstance(value, str):
        if value != "published" and len(nets) > 1:
            raise place.error("weights", f"{value}: say for which net, such as {{{nets[0]}: FILE}}")
        return dict.fromkeys(nets, value)
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise place.error("weights", f"{value!r}; give published, a file, or NET: FILE")
    unknown = [str(net) for net in value if net not in nets]
    if unknown:
        raise place.error("weights", f"no net {unknown[0]} here; {nearest(unknown[0], nets)}")
    return {str(net): str(file) for net, file in value.items()}


# ---- parts and rows -----------------------------------------------------------------------------


def _part(place: _Place, before: _Common, default: str) -> Part:
    place.check_keys(_PART)
    common = _Common.read(place, before)
    name = place.text("name", default)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise place.error("name", f"{name!r}; use letters, digits, - and _ (it names files)")
    if len(name) > _LONGEST + 5:  # a default name has a number as well
        raise place.error("name", f"{name[:40]}... is too long; give {_LONGEST} letters at most")
    place.inner_settings()
    measure = place.choice("measure", ("top1", "regions"), "top1")
    places = place.items("rows")
    rows = [_row(row, measure, common) for row in places]
    labels = [row.label for row in rows]
    for row_place, row in zip(places, rows):
        if labels.count(row.label) > 1:
            raise row_place.error("label", f"two rows are called {row.label!r}")
        _check_labels(row_place, row.against, rows, row.label)
    against = place.texts("against")
    _check_labels(place, against, rows)
    if all(row.ours or row.script for row in rows):
        raise place.error("rows", "every row has `ours` or `script`, so nothing would be run")
    return Part(
        name=name,
        title=place.text("title", default),
        rows=tuple(_against(row, each, against) for row, each in zip(rows, places)),
        nets=common.nets,
        seeds=common.seeds,
        settings=_of_part(place, measure, common.settings),
        weights=_weights(place, common.weights, common.nets),
        measure=measure,
        about=place.text("about"),
        notes=place.texts("notes"),
        paper=common.paper,
        others=any("others" in row.content for row in places),
    )


def _of_part(place: _Place, measure: str, settings: Settings) -> Settings:
    """The settings of a part. Regions are those of phase 1's net, so nothing else is trained."""
    if measure != "regions":
        return settings
    found = {"variant": "laap", **settings}
    if found["variant"] not in ("baseline", "laap"):
        raise place.error("settings", "variant: regions are phase 1's; give baseline or laap")
    return found


def _check_labels(
    place: _Place, given: Sequence[str], rows: Sequence[Row], own: Optional[str] = None
) -> None:
    labels = [row.label for row in rows]
    for label in given:
        if given.count(label) > 1:
            raise place.error("against", f"{label!r} stands twice; name it once")
        if any(row.ours for row in rows if row.label == label):
            raise place.error("against", f"row {label!r} has `ours`, so it has no result of a run")
        if label not in labels:
            raise place.error("against", f"no row {label!r}; {nearest(label, labels)}")
        if label == own:
            raise place.error("against", "the row itself; name another one")


def _against(row: Row, place: _Place, common: Sequence[str]) -> Row:
    """A row with the rows that it is compared with: its own, or those of the part."""
    if "against" in place.content or row.label in common:
        return row
    return dataclasses.replace(row, against=tuple(common))


def _row(place: _Place, measure: str, common: _Common) -> Row:
    place.check_keys(_ROW)
    label = place.text("label", None)
    if not label or "|" in label:
        raise place.error("label", f"{label!r}; give a text without |")
    settings = place.inner_settings()
    if measure == "regions":
        wrong = sorted(set(settings) - region_settings())
        if wrong:
            known = ", ".join(sorted(region_settings()))
            raise place.error(
                "settings", f"{wrong[0]} does not decide the region; these do: {known}"
            )
    reference = place.choice("reference", ("whole", "centred_half"))
    if reference and measure != "regions":
        raise place.error("reference", "it is for a part with `measure: regions`")
    after = place.choice("after", ("phase1",))
    if after and measure == "regions":
        raise place.error("after", "regions are always those of phase 1; leave it out")
    ours = place.text("ours")
    if "|" in ours:
        raise place.error("ours", f"{ours!r}; give a text without |")
    return Row(
        label=label,
        settings=settings,
        paper=_by_net(place, common),
        others=_figures(place),
        against=place.texts("against"),
        after=after,
        reference=reference,
        note=place.text("note"),
        ours=ours,
        script=_script(place, measure),
    )


def _script(place: _Place, measure: str) -> Optional[Script]:
    """What makes a row in place of a training."""
    if not place.has("script"):
        return None
    other = [key for key in ("settings", "after", "ours") if place.has(key)]
    if other or measure == "regions":
        wrong = f"with {other[0]}" if other else "in a part with `measure: regions`"
        raise place.error("script", f"it makes the whole row; it cannot stand {wrong}")
    given = place.inner("script")
    given.check_keys(_SCRIPT)
    options: dict[str, Value] = {}
    for name, value in (given.inner("options").content if given.has("options") else {}).items():
        if not str(name).isidentifier() or not isinstance(value, (str, int, float)):
            raise given.error("options", f"{name}: {value!r}; give NAME: text or number")
        options[str(name)] = value
    return Script(given.text("file", None), options)


def _by_net(place: _Place, common: _Common) -> dict[str, Figure]:
    """The paper's figures of a row, by the name of the net; "" for every net."""
    if not place.has("paper"):
        return {}
    about = common.paper
    value = place.content["paper"]
    if not isinstance(value, Mapping) or "percent" in value:
        return {"": _figure(place, "paper", value, about)}
    inner = place.inner("paper")
    known = [net_name(net) for net in common.nets]
    for net in value:
        if net not in known and not _is_net(str(net)):  # --nets may ask for others
            raise inner.error(str(net), f"no such net; {nearest(str(net), known)}")
    return {str(net): _figure(inner, str(net), each, about) for net, each in value.items()}


def _is_net(name: str) -> bool:
    try:
        find_net(name)
    except MaapError:
        return False
    return True


def _figures(place: _Place) -> tuple[Figure, ...]:
    value = place.content.get("others")
    listed = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(_figure(place, "others", each) for each in listed)


def _figure(place: _Place, key: str, value: object, about: Optional[PaperNote] = None) -> Figure:
    """A figure from its percentage or from percent, source, status; ``about``: where it stands if
    it does not say."""
    content = value if isinstance(value, Mapping) else {"percent": value}
    found = _Place(f"{place.where}: {key}", content)
    found.check_keys(_FIGURE)
    percent = found.number("percent")
    if not 0 <= percent <= 100:
        raise found.error("percent", f"{percent:g} is not from 0 to 100")
    here = None if found.has("source") else about
    source = found.text("source", here.source if here else None)
    status = found.choice("status", STATUSES, here.status if here else READ)
    return Figure(percent, status, source, found.text("what"))
