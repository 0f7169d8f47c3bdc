"""The pages agree with the code: equation ids, links, named functions, commands, and the README's length."""

import ast
import re
import shlex
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from minipg import VPG
from minipg.algorithms.a3c import A3CInfo
from minipg.algorithms.dual import DualInfo
from minipg.algorithms.npg import NPGInfo
from minipg.algorithms.off_policy import OffPolicyInfo
from minipg.algorithms.optimizers import StepInfo
from minipg.algorithms.ppo import PPOInfo
from minipg.algorithms.trpo import TRPOInfo
from minipg.cli import main

ROOT = Path(__file__).parent.parent
README, KEY = ROOT / "README.md", ROOT / "docs/equations.md"
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/*.md"), *ROOT.glob("examples/**/*.md")}
)
SOURCES = sorted(
    path
    for folder in ("minipg", "kernels", "tests", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".cu", ".cuh", ".md"}
)
WRITTEN_ID = re.compile(r"\b[A-Z]{2}-\d+[a-z]?\b")  # in text
NAMED_ID = re.compile(r"_([A-Z]{2})(\d+[a-z]?)(?![A-Za-z0-9])")  # at the end of a name, with no hyphen
LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s]+)\)")


def ids_in(text):
    return {*WRITTEN_ID.findall(text), *("-".join(parts) for parts in NAMED_ID.findall(text))}


@cache
def names_in(path):
    """What a Python file defines: functions, classes, constants, and `Class.member`."""

    def of(body, prefix):
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield prefix + node.name
                if isinstance(node, ast.ClassDef):
                    yield from of(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))

    return set(of(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def theorems():
    """The names of all laws and tests."""
    files = [*(ROOT / "minipg/theory").glob("*.py"), *(ROOT / "tests").glob("test_*.py")]
    return {name for path in files for name in names_in(path)}


def text_of(page):
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def anchors(page):
    """The anchors of a page's headings, as a forge makes them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-") for heading in headings}


def entries(text):
    """id → the text of its entry."""
    parts = re.split(r"^### ([A-Z]{2}-\d+[a-z]?) .*$", re.split(r"^## Sources$", text, flags=re.M)[0], flags=re.M)
    assert len(parts[1::2]) == len(set(parts[1::2])), "an id has two entries"
    return dict(zip(parts[1::2], (re.split(r"^## ", part, flags=re.M)[0] for part in parts[2::2]), strict=True))


ENTRIES = entries(KEY.read_text(encoding="utf-8"))
# the list of sources comes last
WORKS = re.findall(r"^- \*\*(.+?)\*\*: ", KEY.read_text(encoding="utf-8").split("\n## Sources\n")[1], flags=re.M)


# equation ids


def test_every_id_in_the_code_is_in_the_key():
    for path in SOURCES:
        unknown = ids_in(path.read_text(encoding="utf-8")) - ENTRIES.keys()
        assert not unknown, f"{path.relative_to(ROOT)}: {sorted(unknown)} not among the ids of docs/equations.md"


def test_every_id_is_in_the_code_and_in_the_name_of_a_law_or_test():
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES if path.suffix != ".md")
    missing = ENTRIES.keys() - ids_in(text)
    assert not missing, f"docs/equations.md has {sorted(missing)}, but no code carries these ids"
    unproven = ENTRIES.keys() - ids_in("\n".join(theorems()))
    assert not unproven, f"no law and no test has {sorted(unproven)} in its name"


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_has_an_equation_a_source_code_and_a_law_of_its_id(name):
    entry = ENTRIES[name]
    assert entry.count("$$") >= 2
    assert re.search(r"^- Code: .*\[`", entry, flags=re.M)
    held = re.split(r"^- (?:Law|Test): ", entry, flags=re.M)[1:]
    assert held
    for text in held:
        for theorem in re.findall(r"\[`(\w+)`\]", text):
            assert name in ids_in(theorem), f"{theorem} does not have {name} in its name"


@pytest.mark.parametrize("name", ENTRIES)
def test_the_source_of_an_entry_is_in_the_list_of_sources(name):
    source = re.search(r"^- Source: (.*?)(?=\n- |\n\n|\Z)", ENTRIES[name], flags=re.M | re.S)[1]
    for work in source.split(";"):
        assert work.strip().startswith(tuple(WORKS)), f"{work.strip()!r} is not in the list of sources"


def test_every_source_in_the_list_is_used():
    text = "".join(ENTRIES.values())
    for work in WORKS:
        assert work in text


@pytest.mark.parametrize("ending", [".md", ".zh.md"], ids=["English", "Chinese"])
def test_every_equation_has_a_place_in_the_book(ending):
    pages = [page for page in ROOT.glob("docs/book/[01]*.md") if page.name.endswith(".zh.md") == (ending == ".zh.md")]
    written = set().union(*(ids_in(page.read_text(encoding="utf-8")) for page in pages))
    assert ENTRIES.keys() <= written


def test_formulas_have_no_backslash_before_punctuation():
    """A forge drops that backslash before the formula is set."""
    for page in PAGES:
        for formula in re.findall(r"\$\$(.*?)\$\$|\$([^$\n]+)\$", text_of(page), flags=re.S):
            assert not re.search(r"\\[^A-Za-z]", "".join(formula)), f"{page.name}: {''.join(formula)}"


# links and names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_headings_and_names_that_exist(page):
    for text, target in LINK.findall(text_of(page)):
        if "://" in target:
            continue
        where, _, anchor = target.partition("#")
        path = (page.parent / where).resolve() if where else page
        assert path.exists(), f"{page.name}: no file {target}"
        assert path.is_relative_to(ROOT), f"{page.name}: {target} leaves the repository"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: no heading {target}"
        name = re.fullmatch(r"`([A-Za-z_][\w.]*)`", text)
        if name and path.suffix == ".py" and not name[1].endswith(".py"):
            assert name[1] in names_in(path), f"{page.name}: {where} does not define {name[1]}"


# one update

ONE_UPDATE = ROOT / "docs/one_update.md"


@pytest.mark.parametrize(("algorithm", "most"), [("PPO", 24), ("A2C", 18), ("TRPO", 26)])
def test_an_update_is_followed_in_few_files_each_named_in_an_earlier_one(algorithm, most):
    sections = dict(
        re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", ONE_UPDATE.read_text(encoding="utf-8"), flags=re.S | re.M)
    )
    rows = re.findall(
        r"^\| (\d+) \|.*?\]\((.*?)\)", sections["From the shell to `update`"] + sections[algorithm], flags=re.M
    )
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    files = [(ONE_UPDATE.parent / target).resolve() for _, target in rows]
    assert len(set(files)) == len(files) <= most
    for number, file in enumerate(files[1:], start=1):
        earlier = "".join(path.read_text(encoding="utf-8") for path in files[:number])
        by_table = file.parent.name == "algorithms" and "algorithm_named" in earlier
        named = by_table or re.search(rf"\b{file.stem}\b", earlier)
        assert named, f"no earlier file of the list names {file.stem}"


# metrics


def test_every_column_of_metrics_is_explained():
    rows = []
    VPG("CartPole-v1", num_envs=1, n_steps=8, backend="numpy").learn(8, on_update=lambda agent, row: rows.append(row))
    columns = {*rows[0], *NPGInfo._fields, *TRPOInfo._fields, *DualInfo._fields, *PPOInfo._fields, *StepInfo._fields,
               *OffPolicyInfo._fields, *A3CInfo._fields, "steps_0", "steps_1", "share_0", "share_1", "drops_0",
               "drops_1", "restarts"}  # fmt: skip
    table = (ROOT / "docs/running.md").read_text(encoding="utf-8").split("### The columns of metrics.csv")[1]
    names = "".join(re.findall(r"^\|(.*?)\|", table.split("\n## ")[0], flags=re.M))
    assert columns == set(re.findall(r"`(\w+)`", names)) - {"eval_return"}


# the README


def test_the_readme_is_short_and_begins_with_a_picture():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert any(line.startswith("![") for line in lines[:20])


def test_the_pictures_of_the_readme_are_small():
    for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8")):
        assert (ROOT / target).stat().st_size < 150 * 1024


@pytest.mark.parametrize("pattern", [r"python3 -m venv .*minipg train", r"python3 -m venv .*pytest$"])
def test_the_readme_has_the_two_commands_that_ci_runs(pattern):
    assert len(re.findall(f"^{pattern}", README.read_text(encoding="utf-8"), flags=re.M)) == 1


def python_blocks(page):
    """The Python on a page, and what the page says that it prints: a plain block that follows within a line of text."""
    pattern = r"^```python\n(.*?)^```\n(?:\n[^\n`]*\n\n```\n(.*?)^```)?"
    return re.findall(pattern, page.read_text(encoding="utf-8"), flags=re.S | re.M)


PYTHON_PAGES = [page for page in (README, *sorted(ROOT.glob("docs/**/*.md"))) if not page.name.endswith(".zh.md")]


def test_translated_chapters_have_the_same_code():
    for page in sorted(ROOT.glob("docs/**/*.zh.md")):
        original = page.with_name(page.name.replace(".zh.md", ".md"))
        assert [code for code, _ in python_blocks(page)] == [code for code, _ in python_blocks(original)], page.name


@pytest.mark.parametrize(
    ("page", "code", "printed"),
    [(page, *block) for page in PYTHON_PAGES for block in python_blocks(page)],
    ids=lambda part: part.name if isinstance(part, Path) else "",
)
def test_the_python_on_the_pages_runs_and_prints_what_they_say(page, code, printed, tmp_path, monkeypatch, capsys):
    for tracker in re.findall(r"^import (wandb|mlflow)$", code, flags=re.M):
        pytest.importorskip(tracker)
    monkeypatch.chdir(tmp_path)
    exec(compile(re.sub(r"\d+_000\b", "2_000", code), str(page), "exec"), {"__name__": "page"})
    assert printed in capsys.readouterr().out


# commands


def commands(page):
    """The `minipg …` lines of a page's shell blocks."""
    for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("minipg "):
                yield shlex.split(line, comments=True)[1:]


def help_of(command, capsys):
    name, *rest = command
    of_algorithm = name in ("train", "tune")
    if of_algorithm:
        rest = ["--resume"] if rest[0] == "--resume" else rest[:1]
    with suppress(SystemExit):
        main([name, *(rest if of_algorithm else []), "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=lambda page: page.name)
def test_the_flags_in_the_commands_on_the_pages_exist(page, capsys):
    for command in commands(page):
        text = help_of(command, capsys)
        for flag in (word.partition("=")[0] for word in command if re.match(r"--?[a-z]", word)):
            assert re.search(rf"(^|[\s,|]){flag}\b", text, flags=re.M), f"{page.name}: {' '.join(command)}: no {flag}"
