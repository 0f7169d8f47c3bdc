"""Of the site: functions shown from the source, pages for the files that the text links to, and KaTeX with a font.

A line `::: minipg/conjugate_gradient.py conjugate_gradient` becomes the source of that function (or class, or
`Class.method`), read when the site is built. A link to a file outside docs/ leads to a page that shows the file.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from markdown.extensions.toc import slugify
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
IDS = re.compile(r"(?<!\\text\{)\[([A-Z]{2}-\d+[a-z]?)\](?!\()")  # in the text, not in a formula
SOURCE = re.compile(r"^::: (\S+) (\S+)$", flags=re.M)
LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
PICTURES = {".png", ".svg"}
LANGUAGES = {".py": "python", ".cu": "cuda", ".cuh": "cuda", ".yaml": "yaml"}


@event_priority(-100)  # after the plugin for languages, which knows files on the disk only
def on_files(files: Any, config: Any) -> Any:
    """Add KaTeX and a mathematical font, and a page for each file outside docs/ that a page links to."""
    for package, name in (("sphinxcontrib", "katex.min.js"), ("ziamath.fonts", "STIXTwoMath-Regular.ttf")):
        files.append(File.generated(config, f"site/{name}", content=resources(package).joinpath(name).read_bytes()))
    for path in sorted({path for page in files.documentation_pages() for path in _linked(page)}):
        content = {"abs_src_path": str(path)} if path.suffix in PICTURES else {"content": _shown(path)}
        files.append(File.generated(config, _page_of(path), **content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Insert the functions, and turn links to files into links to their pages."""
    if page.file.src_uri.startswith("source/"):
        return markdown
    up = "../" * page.file.src_uri.count("/")
    markdown = SOURCE.sub(lambda found: _function(found[1], found[2], up), markdown)

    markdown = IDS.sub(lambda found: rf"[\[{found[1]}\]]({up}equations.md#{_anchors()[found[1]]})", markdown)

    def link(found: re.Match[str]) -> str:
        path = _outside(page.file.src_uri, found[1])
        if path is None:
            return found[0]
        return f"]({up}{_page_of(path)})" if path.is_file() else f"]({up}index.md)"

    return LINK.sub(link, markdown)


@cache
def _anchors() -> dict[str, str]:
    """The anchor of each id's heading on the page of equations."""
    headings = re.findall(
        r"^### (([A-Z]{2}-\d+[a-z]?) .*)$", (ROOT / "docs/equations.md").read_text("utf-8"), flags=re.M
    )
    return {found: slugify(heading, "-") for heading, found in headings}


def _outside(page: str, target: str) -> Path | None:
    """The file or folder of the repository that a page links to; None for one in docs/."""
    path = (ROOT / "docs" / page).parent.joinpath(target).resolve()
    if path.is_relative_to(ROOT / "docs") or not path.is_relative_to(ROOT):
        return None
    if not path.exists():
        raise PluginError(f"{page}: no file {target}")
    return path


def _linked(page: Any) -> list[Path]:
    text = page.content_string
    linked = [_outside(page.src_uri, found[1]) for found in LINK.finditer(text)]
    shown = [ROOT / found[1] for found in SOURCE.finditer(text)]
    return [path for path in [*linked, *shown] if path is not None and path.is_file()]


def _page_of(path: Path) -> str:
    name = f"source/{path.relative_to(ROOT).as_posix()}"
    return name if path.suffix in PICTURES else f"{name}.md"


def _shown(path: Path) -> str:
    name, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
    return f"---\nsearch: {{exclude: true}}\n---\n# {name}\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text}````\n"


def _function(file: str, name: str, up: str) -> str:
    """The source of one function, below the name of its file."""
    path = ROOT / file
    text = path.read_text("utf-8")
    body: Any = ast.parse(text).body
    node: Any = None
    for part in name.split("."):
        node = next((one for one in body if getattr(one, "name", None) == part), None)
        if node is None:
            raise PluginError(f"{file} defines no {name}")
        body = getattr(node, "body", [])
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    indent = len(lines[0]) - len(lines[0].lstrip())
    code = "\n".join(line[indent:] for line in lines)
    return f"[{file}]({up}{_page_of(path)}){{.source}}\n\n```python\n{code}\n```"
