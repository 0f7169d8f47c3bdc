"""The site builds without a warning, and a browser shows every page: mathematics, pictures, links, on a phone's width.

Needs the extra `docs`, and Chromium for what a browser sees.
"""

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="pip install '.[docs]'")

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PHONE = 375  # CSS pixels
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"]  # fmt: skip

# visits each page in a frame as wide as a phone, and writes what is wrong with it
HARNESS = """<!doctype html><pre id="found"></pre><script>
const pages = PAGES, found = {}, alive = new Map();
const load = (frame, page) => new Promise(done => { frame.onload = done; frame.src = page; });
const pause = ms => new Promise(done => setTimeout(done, ms));
async function exists(url) {
  if (!alive.has(url)) alive.set(url, fetch(url, {method: "HEAD"}).then(answer => answer.ok));
  return alive.get(url);
}
async function visit(page) {
  const frame = document.createElement("iframe");
  frame.style = "width: WIDTHpx; height: 800px";
  document.body.append(frame);
  await load(frame, page);
  await pause(300);
  const doc = frame.contentDocument, wrong = [];
  for (const formula of doc.querySelectorAll(".arithmatex"))
    if (!formula.querySelector("math") || formula.querySelector("merror, .katex-error"))
      wrong.push("formula: " + formula.textContent);
  for (const picture of doc.querySelectorAll("article img"))
    if (!picture.naturalWidth) wrong.push("picture: " + picture.src);
  if (doc.documentElement.scrollWidth > WIDTH) wrong.push("too wide: " + doc.documentElement.scrollWidth);
  const text = doc.querySelector("article").cloneNode(true);
  text.querySelectorAll("pre, code, math").forEach(one => one.remove());
  for (const raw of text.textContent.matchAll(/\\$[^$\\n]+\\$|^::: .*$/gm)) wrong.push("raw: " + raw[0]);
  for (const link of doc.querySelectorAll("a[href]")) {
    const url = new URL(link.href);
    if (url.origin !== location.origin) continue;
    const [where, anchor] = [url.origin + url.pathname, decodeURIComponent(url.hash.slice(1))];
    if (!(await exists(where))) wrong.push("link: " + link.getAttribute("href"));
    else if (anchor && where === doc.location.origin + doc.location.pathname && !doc.getElementById(anchor))
      wrong.push("anchor: " + anchor);
  }
  for (const one of frame.contentWindow.performance.getEntriesByType("resource"))
    if (!one.name.startsWith(location.origin)) wrong.push("loaded from elsewhere: " + one.name);
  found[page] = {wrong, formulas: doc.querySelectorAll("math").length};
  frame.remove();
}
(async () => {
  for (const page of pages) await visit(page).catch(error => found[page] = {wrong: [String(error)], formulas: 0});
  document.getElementById("found").textContent = JSON.stringify(found);
})();
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def pages_of(site):
    pages = (path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html")))
    return [page for page in pages if not page.startswith(("source/", "zh/source/")) and "404" not in page]


@pytest.fixture(scope="module")
def seen(site):
    """What a browser has found on each page, and the lines of its console."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    harness = HARNESS.replace("PAGES", json.dumps(pages_of(site))).replace("WIDTH", str(PHONE))
    (site / "harness.html").write_text(harness, "utf-8")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/harness.html"
        command = [
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={site / 'profile'}",
            "--virtual-time-budget=200000",
            "--dump-dom",
        ]
        result = subprocess.run([*command, address], capture_output=True, text=True, timeout=300)
        server.shutdown()
    text = re.search(r'<pre id="found">(.+?)</pre>', result.stdout, flags=re.S)
    assert text, result.stderr[-2000:]
    unescaped = text[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(unescaped), re.findall(r"CONSOLE.*(?:rror|ncaught).*", result.stderr)


def test_every_page_is_whole_in_a_browser_on_a_phones_width(seen):
    found, console = seen
    assert console == []
    assert {page: one["wrong"] for page, one in found.items() if one["wrong"]} == {}


def test_every_chapter_has_mathematics_and_both_languages_have_the_same_pages(seen):
    found, _ = seen
    chapters = [page for page in found if "book/" in page and re.search(r"/\d\d-", page)]
    assert all(found[page]["formulas"] > 5 for page in chapters), chapters
    assert {page for page in found if not page.startswith("zh/")} == {
        page.removeprefix("zh/") for page in found if page.startswith("zh/")
    }
