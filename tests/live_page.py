#!/usr/bin/env python3
"""A page that computes by itself, in a real browser.

    wgpu-conv view digits.keras --live target/web -o live.html
    python3 tests/live_page.py live.html FOLDER_OF_THE_DIGITS [--screenshots DIR]
    wgpu-conv view digits.keras --live target/web --train examples/digits.npz -o live
    python3 tests/live_page.py live FOLDER_OF_THE_DIGITS

Opens the page from its file, or, where it is a folder, from a server of its own, in a headless Chromium on its own software WebGPU, draws a digit with the pointer and one with
the keyboard, opens layers, checks the arithmetic of a window, drops a picture, a model and a file that is none, and turns a camera on. A page that trains its
model does so from random weights. Where there is
no Chromium it says so and succeeds, unless REQUIRE_CHROMIUM=1.
"""

import argparse
import base64
import functools
import http.server
import json
import pathlib
import sys
import tempfile
import threading
import time

import view_page
from web_page import WEBGPU

# A camera that shows a picture which moves, and is given without asking.
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

BEST = "document.querySelector('#scores .best th')?.textContent"
STATE = "document.getElementById('state')"
DROP = """(() => {{
    const bytes = Uint8Array.from(atob({0}), (letter) => letter.charCodeAt(0));
    const dropped = new DataTransfer();
    dropped.items.add(new File([bytes], {1}, {{ type: {2} }}));
    document.body.dispatchEvent(new DragEvent("drop", {{ bubbles: true, cancelable: true, dataTransfer: dropped }}));
}})()"""
# Digits as strokes, in parts of the pad.
SEVEN = [[(0.25, 0.15), (0.75, 0.15), (0.45, 0.85)]]
ONE = [[(0.5, 0.1), (0.5, 0.9)]]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of a folder."""

    extensions_map = {".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm", "": "application/octet-stream"}

    def log_message(self, *_):
        pass


def drop(browser, contents, name, kind):
    seen = browser.value("window.seen ?? 0")
    browser.value(DROP.format(*map(json.dumps, [base64.b64encode(contents).decode(), name, kind])))
    return seen


def draw(browser, strokes):
    """The time between pointer events that the page took, at most, in milliseconds."""
    browser.value("document.getElementById('wipe').click()")
    browser.value("document.getElementById('pad').scrollIntoView({ block: 'center' })")
    x, y, width, height = browser.value(
        "(() => { const b = document.getElementById('pad').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )
    longest = 0
    for stroke in strokes:
        points = [(x + at * width, y + up * height) for at, up in stroke]
        browser("Input.dispatchMouseEvent", type="mousePressed", x=points[0][0], y=points[0][1], button="left", buttons=1,
                clickCount=1)
        for (x0, y0), (x1, y1) in zip(points, points[1:]):
            for step in range(1, 16):
                start = time.monotonic()
                part = step / 15
                browser("Input.dispatchMouseEvent", type="mouseMoved", x=x0 + (x1 - x0) * part, y=y0 + (y1 - y0) * part,
                        button="left", buttons=1)
                longest = max(longest, (time.monotonic() - start) * 1e3)
        browser("Input.dispatchMouseEvent", type="mouseReleased", x=points[-1][0], y=points[-1][1], button="left", clickCount=1)
    browser.wait("!busy && wanted === null", 60)
    return longest


def check_scene(browser, place, shots):
    """In three dimensions, and enlarged, the layers follow what is drawn."""
    browser.click(*browser.middle("#solid"))
    browser.wait(f"scene.shown && scene.solids[{place}].opened?.source")
    picture = "(scene.draw(), scene.canvas.toDataURL())"
    seven, colours = browser.value(picture), view_page.drawn(browser)
    assert colours > 20, f"{colours} colours"
    browser.value("scene.section.scrollIntoView({ block: 'center' })")
    browser.shot(shots, "live-scene-seven")
    draw(browser, ONE)
    assert browser.value(BEST) == "1", browser.value(BEST)
    view_page.still(browser)
    assert browser.value(picture) != seven, "the textures follow"
    browser.value("scene.section.scrollIntoView({ block: 'center' })")
    browser.shot(shots, "live-scene-one")
    # The value of a place is the one that was computed.
    browser.value(f"scene.keep(layers[{place}], 1); scene.enlarge()")
    browser.wait("enlarged.dialog.open && document.activeElement === enlarged.canvas")
    at = browser.value("enlarged.at")
    told, value = browser.value(
        f"[enlarged.value.textContent, layers[{place}].values[({at[0]} * layers[{place}].width + {at[1]}) * layers[{place}].maps + 1]]"
    )
    assert abs(float(told.split(": ")[1]) - value) <= 1e-6 * max(1, abs(value)), f"{told} for {value}"
    browser.key("Escape", "Escape", 27)
    browser.click(*browser.middle("#solid"))
    assert browser.value("!scene.shown")
    draw(browser, SEVEN)


def check_training(browser, shots):
    """From random weights to most of the samples, by keyboard; the curves, the kernels and the scores follow."""
    told = "document.getElementById('learned')"
    assert "Press Train" in browser.value(f"{told}.textContent"), browser.value(f"{told}.textContent")
    draw(browser, SEVEN)
    kernels = "[...document.querySelectorAll('#filters canvas')].map((canvas) => canvas.toDataURL()).join()"
    before = browser.value("Array.from(layers[2].values)")
    browser.value("document.getElementById('epochs').value = 40; document.getElementById('learn').focus()")
    browser.key("Enter", "Enter", 13, "\r")
    browser.wait(f"/^Epoch 1 of 40/.test({told}.textContent) || {told}.classList.contains('wrong')", 120)
    first = browser.value(kernels)
    assert first, browser.value(f"{told}.textContent")
    # The model that learns answers while it does.
    draw(browser, ONE)
    browser.wait(f"/^Epoch ([4-9]|..) of 40/.test({told}.textContent)", 240)
    browser.value("document.querySelector('.train').scrollIntoView()")
    browser.shot(shots, "live-training")
    assert browser.value(kernels) != first, "the kernels are redrawn"
    labels = browser.value("[...document.querySelectorAll('#curves svg')].map((svg) => svg.getAttribute('aria-label'))")
    assert [label.split()[0] for label in labels] == ["loss", "accuracy"] and "of validation" in labels[0], labels
    assert browser.value("document.querySelectorAll('#curves circle.validated').length") >= 8, "a point for each epoch and curve"
    assert browser.value("document.getElementById('learn').textContent") == "Stop"
    # Drawing has taken the focus.
    browser.value("document.getElementById('learn').focus()")
    browser.key("Enter", "Enter", 13, "\r")
    browser.wait("window.trainings", 120)
    words = browser.value(f"{told}.textContent")
    assert words.startswith("Stopped. Epoch"), words
    reached = {name: float(value) for name, value in (pair.split(" ") for pair in words.split(": ")[1].split(", "))}
    assert reached["accuracy"] > 0.9 and reached["loss"] < 0.5, words
    draw(browser, SEVEN)
    assert browser.value("Array.from(layers[2].values)") != before, "what layers make is by the new weights"
    print(f"the page trains: {words}")


def check(browser, page, material, shots):
    browser.window(1200, 900)
    browser.media(prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    browser.load(page)
    browser.wait("window.seen > 0 || document.getElementById('state').classList.contains('wrong')", 120)
    assert not browser.value(f"{STATE}.classList.contains('wrong')"), browser.value(f"{STATE}.textContent")
    browser.wait("window.began", 120)
    print(f"first result {browser.value('window.began'):.0f} ms after the page; {browser.value(f'{STATE}.textContent')}")
    assert browser.value("document.querySelectorAll('#scores tr').length") == 10

    # What is drawn is recognised, and every layer follows.
    before = browser.value("Array.from(layers[1].values)")
    longest = draw(browser, SEVEN)
    assert browser.value(BEST) == "7", browser.value(BEST)
    assert browser.value("Array.from(layers[1].values)") != before
    assert "Best: 7" in browser.value(f"{STATE}.textContent")
    print(f"a drawn seven is recognised; no pointer event took longer than {longest:.0f} ms")
    browser.shot(shots, "live-seven")
    draw(browser, ONE)
    assert browser.value(BEST) == "1", browser.value(BEST)

    if browser.value("learning !== null"):
        check_training(browser, shots)
        # Back to the weights of the file.
        browser.load(page)
        browser.wait("window.began", 120)

    # By keyboard: the pen is put down in the middle and moved.
    browser.value("document.getElementById('wipe').click(); document.getElementById('pad').focus()")
    browser.key(" ", "Space", 32, " ")
    for _ in range(5):
        browser.key("ArrowDown", "ArrowDown", 40)
    browser.key(" ", "Space", 32, " ")
    browser.wait("!busy && wanted === null", 60)
    assert browser.value("ink.getImageData(pad.width / 2, pad.height / 2 + 60, 1, 1).data[0]") == 255

    # An open layer shows its maps as they are now.
    draw(browser, SEVEN)
    place = browser.value(f"{view_page.SEVERAL}.place")
    browser.click(*browser.middle(f"#layer-{place} .toggle"))
    browser.wait(view_page.OPENED.format(place))
    browser.wait(f"layers[{place}].picture")
    assert browser.value(view_page.COLOURS.format(place)) > 8, "maps appear"

    check_scene(browser, place, shots)

    # The products of a window come to the value that the layer shows.
    for kind in ["Conv2D", "DepthwiseConv2D"]:
        of = browser.value(
            f"loaded.layers.findIndex((layer) => layer.class === {json.dumps(kind)}) + loaded.inputShapes.length"
        )
        fold = f"#layer-{of} details.sum"
        browser.value(f"document.querySelector('{fold} summary').click()")
        browser.wait(f"layers[{of}].found")
        for row in [0, 3]:
            browser.value(
                f"document.querySelectorAll('{fold} input')[1].value = {row};"
                f"document.querySelectorAll('{fold} input')[0].value = layers[{of}].maps - 1; layers[{of}].sum()"
            )
            total, shown = browser.value(f"[layers[{of}].found.total, layers[{of}].found.shown]")
            assert abs(total - shown) <= 1e-4 * max(1, abs(shown)), f"{kind}: {total} for {shown}"
        browser.value(f"document.querySelector('#layer-{of} details.weights summary').click()")
        browser.wait(f"document.querySelectorAll('#layer-{of} details.weights canvas').length >= 2")
    browser.wait(f"[...document.querySelectorAll('#layer-{place} dt')].some((it) => it.textContent === 'Time')", 60)
    browser.value(f"document.getElementById('layer-{place}').scrollIntoView()")
    time.sleep(0.3)
    browser.shot(shots, "live-layer")
    nodes = browser("Accessibility.getFullAXTree")["nodes"]
    named = {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if "role" in n}
    unnamed = [role for role, text in named if role in ("button", "image", "slider", "link", "spinbutton") and not text]
    assert not unnamed, unnamed

    # A picture, a file that is no model, and a model of one's own.
    picture = base64.b64decode(browser.value("""(() => {
        const canvas = document.createElement("canvas");
        Object.assign(canvas, { width: 64, height: 64 });
        const context = canvas.getContext("2d");
        context.strokeStyle = "#fff";
        context.lineWidth = 9;
        context.fillRect(0, 0, 64, 64);
        context.beginPath();
        context.ellipse(32, 32, 17, 25, 0, 0, 7);
        context.stroke();
        return canvas.toDataURL().split(",")[1];
    })()"""))
    seen = drop(browser, picture, "nought.png", "image/png")
    browser.wait(f"window.seen > {seen} && !busy", 60)
    assert browser.value(BEST) == "0", browser.value(BEST)
    # The camera's pictures follow one another until something else is given.
    seen = browser.value("window.seen")
    browser.value("document.getElementById('camera').click()")
    browser.wait(f"window.seen > {seen} + 3 && document.getElementById('camera').ariaPressed === 'true'", 60)
    assert len(set(browser.value("[...ink.getImageData(0, 0, pad.width, pad.height).data]"))) > 8, "the pad shows the camera"
    browser.value("document.getElementById('camera').scrollIntoView({ block: 'center' })")
    browser.shot(shots, "live-camera")
    draw(browser, ONE)
    assert browser.value("film === null && document.getElementById('camera').ariaPressed === 'false'")
    assert browser.value(BEST) == "1", browser.value(BEST)
    drop(browser, b"nothing of the kind", "broken.keras", "")
    browser.wait(f"{STATE}.classList.contains('wrong')", 60)
    assert "model file" in browser.value(f"{STATE}.textContent"), browser.value(f"{STATE}.textContent")
    seen = drop(browser, (material / "model.onnx").read_bytes(), "model.onnx", "")
    browser.wait(f"window.seen > {seen} && !busy", 120)
    assert browser.value("layers.length === loaded.layers.length + 1 && layers.every((layer) => layer.values)")
    browser.wait("[...document.querySelectorAll('dt')].some((it) => it.textContent === 'Time')", 60)
    draw(browser, SEVEN)
    assert browser.value(BEST) == "7", browser.value(BEST)
    browser.click(*browser.middle("#solid"))
    assert view_page.drawn(browser) > 20, "the scene shows the model of one's own"
    browser.click(*browser.middle("#solid"))
    print("a picture and a model of one's own are shown when they are dropped")

    browser.media(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
    browser.value("scrollTo(0, 0)")
    time.sleep(0.3)
    browser.shot(shots, "live-dark")
    browser.window(390, 844, 2, True)
    time.sleep(0.3)
    assert browser.value("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"
    browser.shot(shots, "live-phone")
    complaints = browser.complaints()
    assert not complaints, complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("material", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path, metavar="DIR")
    arguments = parser.parse_args()
    program = view_page.chromium()
    if program is None:
        return view_page.without_chromium()
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = view_page.Browser(program, profile, WEBGPU + CAMERA)
        browser.own += ("blob:",)
        page = arguments.page
        if page.is_dir():
            handler = functools.partial(Quiet, directory=page)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            page = f"http://127.0.0.1:{server.server_address[1]}/"
            browser.own += (page,)
        try:
            check(browser, page, arguments.material, arguments.screenshots)
        finally:
            browser.close()
    files = arguments.page.rglob("*") if arguments.page.is_dir() else [arguments.page]
    size = sum(file.stat().st_size for file in files)
    print(f"{arguments.page}: all of it held, {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
