"""A manifest in YAML: its values, and the line of each.

Only what TOML can say too is taken: no anchors, no aliases, no tags, one document. A date is text.
"""

from typing import Any

import yaml

from ingest.naming import show
from longctx.regular_file import NotRead
from longctx.reports.manifest_values import Fault, Place, Values

DEPTH_MOST = 20
DIGITS_MOST = 100  # of a number; those of base 60 cost the square of their length
_NUMBERS = {f"tag:yaml.org,2002:{name}" for name in ("int", "float")}
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("str", "null", "bool", "int", "float")}


def read_yaml(text: str) -> Values:
    """The values of a YAML text; raises NotRead."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _marked(error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotRead(f"the character U+{ord(text[error.position]):04X} may not stand in it", line) from error
    return _values(loader, node)


def _values(loader: "_Loader", node: yaml.Node | None) -> Values:
    if node is None:
        return Values({}, dict)
    if not isinstance(node, yaml.MappingNode):
        raise NotRead("expected keys with values (title: …)", node.start_mark.line + 1)
    lines: dict[Place, int] = {}
    faults: list[Fault] = []
    tree = _mapping(loader, node, (), lines, faults)
    return Values(tree, lambda: lines, tuple(faults))


class _Loader(yaml.SafeLoader):
    """Makes nodes of plain events only."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call] # it has no annotations
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused("anchors and aliases are not taken; write it out", event)
        if event.tag is not None:
            raise _refused(f"the tag {event.tag} is not taken; leave it out", event)
        self.depth += 1
        if self.depth > DEPTH_MOST:
            raise _refused("nested too deeply", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refused(message: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    mark: Any = event.start_mark
    return yaml.MarkedYAMLError(problem=message, problem_mark=mark)


def _marked(error: yaml.MarkedYAMLError) -> NotRead:
    mark = error.problem_mark or error.context_mark
    message = error.problem or error.context or "not valid YAML"
    return NotRead(message, None if mark is None else mark.line + 1)


def _mapping(
    loader: _Loader, node: yaml.MappingNode, place: Place, lines: dict[Place, int], faults: list[Fault]
) -> dict[str, object]:
    table: dict[str, object] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            faults.append(Fault(place, "a key must be a word", line))
        elif key.value in table:
            faults.append(
                Fault(
                    (*place, key.value), f"stands a second time; the first is on line {lines[*place, key.value]}", line
                )
            )
        else:
            lines[*place, key.value] = line
            table[key.value] = _value(loader, value, (*place, key.value), lines, faults)
    return table


def _value(loader: _Loader, node: yaml.Node, place: Place, lines: dict[Place, int], faults: list[Fault]) -> object:
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, place, lines, faults)
    if isinstance(node, yaml.SequenceNode):
        lines.update({(*place, i): each.start_mark.line + 1 for i, each in enumerate(node.value)})
        return [_value(loader, each, (*place, i), lines, faults) for i, each in enumerate(node.value)]
    return _scalar(loader, node)


def _scalar(loader: _Loader, node: yaml.Node) -> object:
    if node.tag not in _PLAIN:  # a date, for one
        return node.value
    try:
        if node.tag in _NUMBERS and len(node.value) > DIGITS_MOST:
            raise ValueError
        value: object = loader.construct_object(node)
    except ValueError as error:
        raise NotRead(
            f"{show(str(node.value)[:40])} is not a number that can be read", node.start_mark.line + 1
        ) from error
    return value
