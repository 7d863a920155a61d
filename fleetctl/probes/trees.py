"""Trees of text: indented `key : value` headings, and XML that may end in the middle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from fleetctl.probes.text import clean

# Characters of a path; real ones stay below 150. Without a limit, a small document nested deep or with one huge name
# would ask for gigabytes: every leaf repeats the names above it.
MAX_PATH = 400


def lines_of_tree(text: str) -> Iterator[tuple[int, int, str, str | None]]:
    """(line number, indent, key, value or None for a heading) for every line that is not blank. Tabs count as eight."""
    for number, line in enumerate(text.split("\n"), 1):
        head, colon, value = line.partition(":")
        key = head.strip()
        if not key:
            continue
        indent = head.index(key[0])
        if "\t" in head:
            indent = len(head[:indent].expandtabs(8))
        yield number, indent, key, value.strip() if colon else None


def paths_of_tree(lines: list[tuple[int, int, str, str | None]]) -> dict[str, str]:
    """`Heading/Sub heading/Key` -> value, for the lines of one card; a repeated path keeps its first value.

    Paths longer than MAX_PATH are left out.
    """
    stack: list[tuple[int, str]] = []  # indent, path
    paths: dict[str, str] = {}
    for _, indent, key, value in lines:
        while stack and stack[-1][0] >= indent:
            stack.pop()
        path = f"{stack[-1][1]}/{key}" if stack else key
        if value is not None and len(path) <= MAX_PATH:
            paths.setdefault(path, value.strip())
        stack.append((indent, path[: MAX_PATH + 1]))
    return paths


def flat_xml(element: ElementTree.Element) -> dict[str, str]:
    """`a/b/c` -> text for every leaf below an element; a repeated path keeps its first value.

    Paths longer than MAX_PATH are left out.
    """
    paths: dict[str, str] = {}
    stack = [("", iter(element))]
    while stack:
        prefix, children = stack[-1]
        for child in children:
            if len(prefix) + len(child.tag) > MAX_PATH:
                continue
            if len(child):
                stack.append((f"{prefix}{child.tag}/", iter(child)))
                break
            if child.text and (path := prefix + child.tag) not in paths:
                paths[path] = child.text.strip()
        else:
            stack.pop()
    return paths


class _Builder(ElementTree.TreeBuilder):
    """Keeps a hand on every `of` element from its start on, so that a document cut inside one still gives it."""

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of = of
        self.root: ElementTree.Element | None = None
        self.found: list[ElementTree.Element] = []
        self.depth = 0
        self.inside = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        element = super().start(tag, attrs)
        if self.root is None:
            self.root = element
        self.depth += 1
        if tag == self.of and not self.inside:
            self.found.append(element)
            self.inside = self.depth
        return element

    def end(self, tag: str, /) -> ElementTree.Element:
        if self.inside == self.depth:
            self.inside = 0
        self.depth -= 1
        return super().end(tag)


def _outermost(root: ElementTree.Element, of: str) -> list[ElementTree.Element]:
    """The `of` elements that lie in no other one: some tools name a value inside a card like the card."""
    found: list[ElementTree.Element] = []
    todo = [root]
    while todo:
        element = todo.pop()
        if element.tag == of:
            found.append(element)
        else:
            todo.extend(reversed(element))
    return found


def read_xml(text: str, of: str) -> tuple[dict[str, str], list[ElementTree.Element], str]:
    """(leaves right below the root, the `of` elements, problem or "").

    A document cut in the middle gives what stood before the cut. Entities are refused: no tool declares any.
    """
    if "<!ENTITY" in text:
        return {}, [], "XML with entities is refused"
    try:  # whole documents take the quick way
        whole = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError):
        pass
    else:
        return {c.tag: (c.text or "").strip() for c in whole if len(c) == 0}, _outermost(whole, of), ""
    builder = _Builder(of)
    parser = ElementTree.XMLParser(target=builder)
    problem = ""
    try:
        parser.feed(text)
        parser.close()
    except ElementTree.ParseError as error:
        problem = "" if "junk after document element" in str(error) else f"XML: {error}"
    except (ValueError, RecursionError, AssertionError) as error:
        problem = f"XML: {error}"
    root = builder.root
    leaves = {c.tag: (c.text or "").strip() for c in root if len(c) == 0} if root is not None else {}
    return leaves, builder.found, problem


def read_json(text: str) -> tuple[Any, str]:
    """(the first JSON object or list in a text, "") whatever stands around it; (None, why) when there is none."""
    decoder = json.JSONDecoder()
    tried = 0
    problem = "no JSON in it"
    for match in re.finditer(r"[\[{]", text):
        tried += 1
        if tried > 50:
            break
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except ValueError as error:
            problem = f"JSON: {error}"
            continue
        except RecursionError:
            return None, "JSON: nested too deep"
        if value or tried > 1:
            return (printable(value) if "\\" in text else value), ""
    return None, problem


def printable(value: Any) -> Any:
    """The same JSON without what a terminal obeys: an escape sequence travels in JSON as plain letters."""
    if isinstance(value, str):
        return value if value.isprintable() else clean(value)
    if isinstance(value, dict):
        return {printable(key): printable(one) for key, one in value.items()}
    return [printable(one) for one in value] if isinstance(value, list) else value


def read_entries(text: str, key: str = "") -> list[Any]:
    """The whole entries of the list under a key (the first list of a text without one) of JSON that is cut or broken
    behind them. For texts that `read_json` refuses; [] when there is no such list.
    """
    match = re.search(rf'"{re.escape(key)}"\s*:\s*\[' if key else r"\[", text)
    entries: list[Any] = []
    at = match.end() if match else len(text)
    decoder = json.JSONDecoder()
    while len(entries) < 4096 and (here := re.compile(r"[\s,]*(?=[{\"\d\[])").match(text, at)):
        try:
            entry, at = decoder.raw_decode(text, here.end())
        except (ValueError, RecursionError):
            break
        entries.append(printable(entry))
    return entries
