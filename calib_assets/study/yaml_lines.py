"""A study file as data, and the line of every place in it."""

from pathlib import Path

import yaml

from calib_assets.study.errors import Problem, StudyError


class UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here the second is an error."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key_node.start_mark)
            merges = key_node.tag == "tag:yaml.org,2002:merge"  # `<<: *row`, whose keys the mapping's own go before
            key = "<<" if merges else self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice in one mapping; remove one", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse(file: str, text: str) -> tuple[object, dict[tuple, int]]:
    """Data of a study file, and the 1-based line of each place in it.

    Raises:
        StudyError: If it is no YAML, or none that a study may be written in.
    """
    lines: dict[tuple, int] = {}
    try:
        loader = UniqueKeys(text)
        root = loader.get_single_node()
        if root is not None:
            _index(root, (), lines, {})
        data = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error).splitlines()[0]
        problem = Problem("file", None, message, _yaml_remedy(message), mark.line + 1 if mark else None)
        raise StudyError(file, [problem]) from None
    except RecursionError:
        problem = Problem("file", None, "lists or mappings lie too deep in each other", "correct the YAML")
        raise StudyError(file, [problem]) from None
    except ValueError as error:  # a number that Python refuses to read
        raise StudyError(file, [Problem("file", None, str(error), "write a shorter number")]) from None
    return data, lines


def _yaml_remedy(message: str) -> str:
    """What usually is behind the words of the YAML parser."""
    for words, remedy in (
        ("'\\t'", "indent with spaces: YAML takes no tabs"),
        ("mapping values are not allowed", "put a text that holds `: ` in quotes; begin each field on its own line"),
        ("expected <block end>", "begin the fields of one row in the same column"),
        ("but got", "close the bracket, brace or quote that was opened on this line or before"),
        ("a key is no text", "write `field: value`; a text that holds brackets or braces needs quotes"),
        ("special characters are not allowed", "remove the control characters, or write them as escapes in quotes"),
        ("expected a single document", "keep one study in one file"),
        ("but found another document", "keep one study in one file"),
        ("found undefined alias", "define it before with `&name`; a text that begins with `*` needs quotes"),
        ("could not determine a constructor", "remove the tag; a text that begins with `!` needs quotes"),
        ("unexpected end of stream", "close the bracket, brace or quote that was opened on this line or before"),
    ):
        if words in message:
            return remedy
    return "correct the YAML"


def _index(node, place: tuple, lines: dict[tuple, int], open_nodes: dict[int, bool]) -> None:
    """Line of every place. What an alias repeats is not entered again: aliases of aliases grow without bound.

    Args:
        open_nodes: Nodes that were entered, by id -> whether one is inside of it now.

    Raises:
        yaml.composer.ComposerError: If an alias stands inside of what it repeats.
    """
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        if any("\ud800" <= c <= "\udfff" for c in node.value):
            raise yaml.composer.ComposerError(None, None, "half a surrogate pair is no character", node.start_mark)
        return
    if id(node) in open_nodes:
        if open_nodes[id(node)]:
            raise yaml.composer.ComposerError(None, None, "an alias stands inside of what it repeats", node.start_mark)
        return
    open_nodes[id(node)] = True
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            _index(value, (*place, name), lines, open_nodes)
            lines[(*place, name)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _index(value, (*place, index), lines, open_nodes)
    open_nodes[id(node)] = False


def line_of(path: str | Path, *place: str | int) -> int | None:
    """1-based line of a place in a study file that could be read, such as ``("models", 0, "source")``."""
    _, lines = parse(str(path), Path(path).read_text(encoding="utf-8"))
    return line_at(lines, place)


def line_at(lines: dict[tuple, int], place: tuple) -> int | None:
    """Line of a place, or of the nearest around it that has one."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place)
