#!/usr/bin/env python3
"""The package for JavaScript in a real browser.

    bash .ci/web
    python3 tests/web_page.py target/web

Serves the package and the conformance material from 127.0.0.1, and has a headless Chromium, on its own software WebGPU,
classify digits, run layers with Keras's weights, train a model as Keras does and one to classify digits, and use each part of the
interface (tests/web_package.js); then it measures a layer on the package's page for that, bench.html. Where there is no Chromium it
says so and succeeds, unless REQUIRE_CHROMIUM=1.
"""

import argparse
import functools
import http.server
import os
import pathlib
import sys
import tempfile
import threading

import view_page

HERE = pathlib.Path(__file__).resolve().parent
MATERIAL = pathlib.Path(os.environ.get("CONFORMANCE_DIR") or HERE / "fixtures" / "conformance")
WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
PAGE = b"""<!DOCTYPE html><meta charset="utf-8"><title>The package</title><link rel="icon" href="data:,">
<script type="module">import { run } from "/test.js"; run().then((result) => { window.result = result; });</script>"""


class Server(http.server.SimpleHTTPRequestHandler):
    """The page at /, the test at /test.js, the package below /package, and files below /conformance, /training and /examples."""

    extensions_map = {".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm", "": "application/octet-stream"}

    def __init__(self, *arguments, package, **named):
        training, examples = HERE / "fixtures" / "training", HERE.parent / "examples"
        self.roots = {"package": package, "conformance": MATERIAL, "training": training, "examples": examples}
        super().__init__(*arguments, **named)

    def translate_path(self, path):
        if path == "/test.js":
            return str(HERE / "web_package.js")
        root, _, rest = path.partition("?")[0].lstrip("/").partition("/")
        return str(self.roots.get(root, HERE / "nowhere") / rest)

    def do_GET(self):
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


def check_bench(browser, page):
    """A workload is measured, and its figures can be copied."""
    browser.load(f"{page}?match=pw_7_1024")
    browser.click(*browser.middle("#start"))
    browser.wait("!document.getElementById('start').disabled && document.getElementById('state').textContent !== 'Not started.'", 120)
    state = browser.value("document.getElementById('state').textContent")
    cells = browser.value("[...document.querySelectorAll('#rows tr')].map((row) => [...row.cells].map((cell) => cell.textContent))")
    assert len(cells) == 1, f"{cells}: {state}"
    [[name, shape, time, speed]] = cells
    assert (name, shape) == ("pw_7_1024_1024", "1 × 7 × 7 × 1024"), cells
    # Twice the multiplications: 49 places, 1024 sums of 1024 products.
    expected = 2 * 49 * 1024 * 1024 / float(time) / 1e6
    assert abs(float(speed) - expected) < 0.051 + 0.01 * expected, cells
    report = browser.value("document.getElementById('report').value")
    assert "\t".join(cells[0]) in report and "GPU: " in report and "Browser: " in report, report
    browser.click(*browser.middle("#copy"))
    browser.wait("/copied/.test(document.getElementById('state').textContent)")
    complaints = browser.complaints()
    assert not complaints, complaints
    print(f"bench.html: {name} in {time} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=pathlib.Path)
    arguments = parser.parse_args()
    program = view_page.chromium()
    if program is None:
        return view_page.without_chromium()
    handler = functools.partial(Server, package=arguments.package.resolve())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_address[1]}/"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = view_page.Browser(program, profile, WEBGPU)
        browser.own = ("data:", origin, f"blob:{origin}")
        try:
            browser.load(origin)
            browser.wait("window.result", 600)
            result = browser.value("window.result")
            print("\n".join(result["lines"]))
            assert "error" not in result, result["error"]
            complaints = browser.complaints()
            assert not complaints, complaints
            check_bench(browser, f"{origin}package/bench.html")
        finally:
            browser.close()
    print(f"{arguments.package}: all of it held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
