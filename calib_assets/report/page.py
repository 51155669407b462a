"""Rendering: sections, provenance and configuration in; one HTML file that asks nobody for anything out."""

import base64
import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from urllib.parse import urlencode

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from calib_assets.explorer.page import BESIDE
from calib_assets.readable import readable
from calib_assets.report.cells import render_cell
from calib_assets.report.contract import (
    Check,
    Finding,
    LeftOut,
    Missing,
    Provenance,
    ReportFigure,
    ReportSection,
    ReportTable,
    flatten,
)
from calib_assets.report.paper_index import Place
from calib_assets.report.spreadsheet import packed

METHODS = {
    "shape": ("methods", "Methods", "methods.html"),
    "order": ("order-methods", "Methods of the order study", "order_methods.html"),
    "canopy": ("canopy-methods", "Methods of the canopy study", "canopy_methods.html"),
    "cases": ("cases-methods", "Methods of the case studies", "cases_methods.html"),
}
"""Name of each text on methods -> (HTML id, title, template)."""

Shown = Mapping[str, str]
MOST_PLACES = 6
"""A finding about more places than these has no links to them."""
# Read when the module is loaded: constants are part of the code version, so an edited template makes the page stale.
_FOLDER = files("calib_assets.report") / "templates"
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in sorted(_FOLDER.iterdir(), key=str)}


@functools.cache
def _environment() -> Environment:
    """Templates of this package; everything is escaped unless this module marks it as safe."""
    environment = Environment(
        loader=DictLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: readable(value) if type(value) is str else value,  # Markup stays as it is
    )
    environment.globals.update(
        cell=render_cell, picture=_picture, packed=packed, kind_of=lambda item: type(item).__name__,
        places_of=_places_of, name_of=_name_of, address_of=_address_of, most_places=MOST_PLACES,
    )  # fmt: skip
    environment.tests["missing_item"] = lambda item: isinstance(item, Missing)
    return environment


def build_report(
    sections: Sequence[ReportSection],
    provenance: Sequence[Provenance],
    configuration: str,
    title: str,
    *,
    headline: ReportTable | None = None,
    checks: Sequence[Check] = (),
    summary: str = "",
    generated_at: str | None = None,
    findings: Sequence[Finding] = (),
    methods: Sequence[str] = ("shape",),
    left_out: Sequence[LeftOut] = (),
    index: Sequence[Place] = (),
    seeds: Mapping[str, int] | None = None,
    places: Mapping[str, Shown] | None = None,
    explorer: str = "",
) -> str:
    """The report as HTML text; equal arguments give equal text.

    Args:
        sections: Content in reading order.
        provenance: Every artifact that a figure or table refers to, and any other worth listing.
        configuration: The study file as written; shown verbatim.
        title: Heading of the page and title of the document.
        headline: Table shown first.
        checks: Asset-check results; a check that did not run is shown as such.
        summary: One plain-text paragraph under the title.
        generated_at: Time to print under the title; None prints none, which keeps the text reproducible.
        findings: Sentences shown under the headline table.
        methods: Names in :data:`METHODS` of the texts on methods to print.
        left_out: What failed or is not computed yet; said under the title.
        index: The papers' figures and tables with their places on the page.
        seeds: Place in the configuration -> seed.
        places: Provenance id -> what it is about, such as ``{"model": "m", "task": "t"}``, if the explorer shows that.
            A section that is about one such place can be found from there.
        explorer: File of the explorer that lies beside the page; sections that are about one place, and findings that
            are about a few, link to it.

    Raises:
        ValueError: If two items share an id, an item refers to a provenance id that is not listed, or one
            artifact is listed with two different manifests.
    """
    known: dict[str, Provenance] = {}
    for record in provenance:
        if known.setdefault(record.id, record) != record:
            raise ValueError(f"{record.asset} [{record.partition}] is listed with two different manifests")
    every = flatten(sections)
    items = [item for section in every for item in section.items]
    shown = [item for item in items if not isinstance(item, Missing)] + ([headline] if headline else [])
    _check_unique([section.id for section in every] + [item.id for item in shown])
    for item in shown:
        _check_sources(item, known)
    for number, finding in enumerate(findings, start=1):
        _refuse_unknown(f"finding {number}", set(finding.provenance), known)
    scripts = [_environment().get_template(name).render() for name in ("sort.js", "save.js", "places.js")]
    script = "".join([BESIDE, *scripts])
    style = _environment().get_template("style.css").render()
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=title,
            summary=summary,
            generated_at=generated_at,
            headline=headline,
            findings=[(topic, list(group)) for topic, group in itertools.groupby(findings, lambda item: item.topic)],
            methods=[METHODS[name] for name in methods],
            sections=sections,
            index=index,
            seeds=seeds or {},
            places=places or {},
            explorer=explorer,
            libraries=_libraries(known.values()),
            checks=checks,
            provenance=sorted(known.values(), key=lambda record: (record.asset, record.partition or "")),
            records=known,
            configuration=configuration,
            style=Markup(style),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            failed=[item for item in left_out if item.reason],
            uncomputed=[item for item in left_out if not item.reason],
            missing=[item for item in items if isinstance(item, Missing)],
            verdicts=Counter(check.passed for check in checks),
        )
    )


def _places_of(ids: Iterable[str], places: Mapping[str, Shown]) -> list[Shown]:
    """What these sources are about, each place once; sources that have none are left aside."""
    found: list[Shown] = []
    for id in ids:
        if id in places and places[id] not in found:
            found.append(places[id])
    return found


def _name_of(place: Shown, beside: Sequence[Shown]) -> str:
    """A place in a list of places: the model is named where they are of several.

    >>> _name_of({"model": "m", "task": "t"}, [{"model": "n", "task": "t"}])
    'm, t'
    """
    model, name = place.values()
    return name if all(other["model"] == model for other in beside) else f"{model}, {name}"


def _address_of(place: Shown) -> str:
    """A place as the part of an address behind ``#``.

    >>> _address_of({"model": "m & n", "task": "t"})
    'model=m+%26+n&task=t'
    """
    return urlencode(place)


def _libraries(records: Iterable[Provenance]) -> dict[str, list[str]]:
    """Every library that the artifacts name, with all its versions: more than one where results are of two times."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in record.libraries.items():
            found.setdefault(name, set()).add(version)
    return {name: sorted(found[name]) for name in sorted(found)}


def _check_unique(identifiers: list[str]) -> None:
    twice = sorted(name for name, count in Counter(identifiers).items() if count > 1)
    if twice:
        raise ValueError(f"these ids are used more than once in the report: {', '.join(twice)}")


def _check_sources(item: ReportFigure | ReportTable, known: dict[str, Provenance]) -> None:
    cells = set()
    if isinstance(item, ReportTable):
        places = [place for place, column in enumerate(item.columns) if column.kind == "sources"]
        cells = {source for row in item.rows for place in places for source in row[place] or ()}
    _refuse_unknown(item.id, {*item.provenance, *cells}, known)


def _refuse_unknown(name: str, wanted: set[str], known: dict[str, Provenance]) -> None:
    unknown = sorted(wanted - set(known))
    if unknown:
        raise ValueError(f"{name} refers to provenance that is not listed: {', '.join(unknown)}")


def _picture(figure: ReportFigure) -> Markup:
    if isinstance(figure.image, str):
        return Markup(figure.image)
    data = base64.b64encode(figure.image).decode()
    return Markup('<img src="data:image/png;base64,{}" alt="{}">').format(Markup(data), figure.alt)
