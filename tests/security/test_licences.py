"""docs/licences.md names every pin, and what asks more than a notice is judged."""

import licences


def test_the_page_names_every_pin_at_its_version():
    assert {name: version for name, (version, *_) in licences.known().items()} == licences.pins()


def test_the_page_says_what_the_installed_packages_say():
    said = {name: licences.licence_of(name) for name in licences.pins()}
    assert {name for name, text in said.items() if text is not None and licences.known()[name][1] != text} == set()


def test_copyleft_and_unstated_licences_are_judged():
    for name, (_, licence, note) in licences.known().items():
        if licences.COPYLEFT.search(licence) or licence == licences.UNKNOWN:
            assert note, f"{name}: {licence}"


def test_every_dependency_of_the_project_and_its_tests_is_pinned():
    """Whatever pip would bring for the project and its tests stands in constraints.txt."""
    import re
    from importlib import metadata

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pinned = {canonicalize_name(name) for name in licences.pins()}
    todo, seen = [("calib-assets", frozenset({"test"}))], set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for text in metadata.requires(name) or ():
            need = Requirement(text)
            asked = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if need.marker is None or any(need.marker.evaluate(environment) for environment in asked):
                todo.append((canonicalize_name(need.name), frozenset(need.extras)))
    names = {name for name, _ in seen} - {"calib-assets"}
    circumstance = re.compile(r"nvidia|cuda|triton|setuptools|colorama")  # builds of torch differ by machine
    assert sorted(name for name in names - pinned if not circumstance.match(name)) == []
