#!/usr/bin/env python3
"""The page of a model in a real browser.

    wgpu-conv view MODEL INPUT -o page.html
    python3 tests/view_page.py page.html [--screenshots DIR]

Drives a headless Chromium over its debugging pipe and checks that layers open by click and by keyboard, that maps appear,
that pointing at a map tells of it and lights its sources, that no console message is an error, that nothing is asked of
the network, and that assistive technology is told the names and the states of the buttons. In three dimensions it opens a layer
by click and by keyboard, and reads back what was drawn. Where there is no Chromium (apt
install chromium) it says so and succeeds, unless REQUIRE_CHROMIUM=1.
"""

import argparse
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

OPTIONS = [
    "--headless",
    "--no-sandbox",
    # WebGL on the processor.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]


class Browser:
    """A Chromium that is told what to do through file descriptors 3 and 4."""

    def __init__(self, program, profile, options=()):
        # What a page may ask for.
        self.own = ("data:", "file:")
        commands, self.out = os.pipe()
        self.answers, answers = os.pipe()
        # Descriptors that are inherited keep their numbers: a shell gives them those that Chromium reads.
        line = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
        self.process = subprocess.Popen(
            ["bash", "-c", line, program, *OPTIONS, *options, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self.rest = b""
        self.number = 0
        self.events = []
        target = next(t for t in self("Target.getTargets")["targetInfos"] if t["type"] == "page")["targetId"]
        self.session = None
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"]:
            self(f"{domain}.enable")

    def __call__(self, method, **parameters):
        """The result of a command; what happens meanwhile goes to the events."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def receive(self):
        while b"\0" not in self.rest:
            part = os.read(self.answers, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def value(self, expression):
        """What a JavaScript expression comes to."""
        result = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.value(f"Boolean({expression})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {expression}")

    def window(self, width, height, scale=1, mobile=False):
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=mobile,
        )

    def media(self, **features):
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self("Emulation.setEmulatedMedia", features=features)

    def load(self, page):
        self.events.clear()
        self("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.wait("document.readyState === 'complete'", 60)
        assert not self.complaints(), self.complaints()

    def mouse(self, kind, x, y):
        pressed = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
        self("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def click(self, x, y):
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"]:
            self.mouse(kind, x, y)

    def key(self, key, code, number, text=""):
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        self("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self("Input.dispatchKeyEvent", type="keyUp", **common)

    def middle(self, selector):
        """Scrolls to an element; where its middle is then."""
        return self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({ block: 'center' }); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )

    def shot(self, folder, name, whole=False):
        if folder is None:
            return
        options = {}
        if whole:
            size = self("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
            options = {"clip": clip, "captureBeyondViewport": True}
        data = self("Page.captureScreenshot", format="png", **options)["data"]
        (folder / f"{name}.png").write_bytes(base64.b64decode(data))

    def complaints(self):
        """What went wrong on the page, and what it asked for."""
        found = []
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.append(str(parameters["args"]))
            elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(str(parameters["entry"]))
            elif method == "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if not url.startswith(self.own):
                    found.append(f"asks for {url}")
        return found

    def close(self):
        try:
            self.session = None
            self("Browser.close")
        except (RuntimeError, OSError):
            pass
        self.process.wait(20)


# The first layer with several maps that is near its like, and the states that are waited for.
SEVERAL = "layers.find((layer) => layer.maps > 1 && layer.inputs.length > 0)"
OPENED = "layers[{0}].at === 1"
# How many colours the canvas of a layer shows.
COLOURS = """(() => {{
    const canvas = layers[{0}].canvas;
    const data = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    return new Set(data).size;
}})()"""


def check_slices(browser, place):
    """Chooses the slices of a layer by keyboard."""
    browser.value(f"layers[{place}].item.scrollIntoView()")
    for aim, shown in [(0, "image"), (1, "canvas")]:
        browser.value(f"layers[{place}].go({aim})")
        browser.wait(f"layers[{place}].at === {aim} && layers[{place}].near")
        if aim == 1:
            browser.wait(f"layers[{place}].picture")
        pictures = set()
        last = browser.value(f"layers[{place}].slices") - 1
        browser.value(f"layers[{place}].depth.focus()")
        browser.key("Home", "Home", 36)
        for slice in range(last + 1):
            time.sleep(0.1)
            assert browser.value(f"layers[{place}].slice") == slice
            pictures.add(browser.value(f"layers[{place}].{shown}.toDataURL()"))
            browser.key("ArrowRight", "ArrowRight", 39)
        assert len(pictures) > last / 2, f"{len(pictures)} pictures of {last + 1} slices"
    assert browser.value(f"layers[{place}].depth.getAttribute('aria-valuetext')") == f"slice {last} of {last + 1}"


# Draws the scene and reads it back: the part of its pixels that are drawn on, and how many colours they have.
DRAWN = """(() => {
    scene.draw();
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: scene.canvas.width, height: scene.canvas.height });
    const context = canvas.getContext("2d");
    context.drawImage(scene.canvas, 0, 0);
    const data = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    const drawn = data.filter((pixel) => pixel >>> 24 > 0);
    return [drawn.length / data.length, new Set(drawn).size];
})()"""
# Where on the window a layer can be pointed at, and which map of it that is: nothing is nearer to the eye there.
SEEN = """(() => {{
    const bounds = scene.canvas.getBoundingClientRect();
    const found = [];
    for (let y = bounds.top + 4; y < bounds.bottom; y += 8) {{
        for (let x = bounds.left + 4; x < bounds.right; x += 8) {{
            const hit = scene.hit({{ clientX: x, clientY: y }});
            if (hit?.layer.place === {0} && (found.length === 0 || found[0][2] === hit.map)) {{
                found.push([x, y, hit.map]);
            }}
        }}
    }}
    return found[found.length >> 1];
}})()"""


def still(browser):
    """Waits until the camera and the layers rest, and what they show has come."""
    browser.wait("!scene.flight && moving.size === 0 && !scene.asked && layers.every((layer) => !layer.coming)")


def drawn(browser):
    """How many colours the scene shows."""
    still(browser)
    part, colours = browser.value(DRAWN)
    assert 0.002 < part < 0.9, f"{part:.1%} of the pixels are drawn on"
    return colours


def check_scene(browser, place, shots, stem):
    """Looks at the layers in three dimensions."""
    browser.value("unpoint()")
    browser.media(prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    browser.click(*browser.middle("#solid"))
    assert browser.value("document.getElementById('scene-problem').hidden"), "there is WebGL"
    assert browser.value("document.getElementById('solid').getAttribute('aria-pressed')") == "true"
    assert browser.value("document.querySelector('main').offsetHeight") == 0, "the list gives way"
    browser.value("layers.forEach((layer) => layer.go(0)); scene.overview(false); scene.section.scrollIntoView({ block: 'center' })")
    closed = drawn(browser)
    assert closed > 20, f"{closed} colours"
    browser.shot(shots, f"{stem}-scene-closed")

    # By click, in steps, with a texture for its maps.
    x, y, _ = browser.value(SEEN.format(place))
    opens_in_steps(browser, place, (x, y), shots, f"{stem}-scene-opening")
    browser.wait(f"scene.solids[{place}].opened?.source")
    assert drawn(browser) > 20
    browser.shot(shots, f"{stem}-scene-open")

    # A map that nothing hides is pointed at, and tells what it is made of.
    x, y, number = browser.value(SEEN.format(place))
    browser.mouse("mouseMoved", x, y)
    text = browser.value("told.textContent")
    assert f"map {number} of {browser.value(f'layers[{place}].maps')} ·" in text and "made of" in text, text
    lines = browser.value("scene.chosen([0, 0, 0], 1).length / 10")
    source = browser.value(f"layers[{place}].inputs[0]")
    from_, to = browser.value(f"layers[{place}].feeding({number}, 0)")
    assert lines >= 1, "lines lead to what it is made of"
    browser.value(f"layers[{source}].go(1)")
    browser.wait(f"layers[{source}].at === layers[{source}].aim")
    browser.value(f"scene.keep(layers[{place}], {number}); scene.draw()")
    single = browser.value(f"layers[{source}].single")
    lines = browser.value("scene.chosen([0, 0, 0], 1).length / 10")
    assert lines == (1 if single else to - from_), f"{lines} lines to {to - from_} maps"
    assert drawn(browser) > 20
    browser.shot(shots, f"{stem}-scene-lines")

    # Turning, moving and zooming change what is seen, by mouse, by wheel and by keys.
    def looks(act):
        before = browser.value("JSON.stringify(scene.view)")
        act()
        still(browser)
        assert browser.value("JSON.stringify(scene.view)") != before
        assert browser.value(DRAWN)[1] > 1

    x, y, width, height = browser.value(
        "(() => { const b = scene.canvas.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )
    corner = (x + width * 0.1, y + height * 0.2)

    def drag(**more):
        for kind, moved in [("mousePressed", 0), ("mouseMoved", 30), ("mouseMoved", 60), ("mouseReleased", 60)]:
            browser("Input.dispatchMouseEvent", type=kind, x=corner[0] + moved, y=corner[1] + moved / 4, button="left",
                    buttons=0 if kind == "mouseReleased" else 1, clickCount=1, **more)

    looks(drag)
    looks(lambda: drag(modifiers=8))
    looks(lambda: browser("Input.dispatchMouseEvent", type="mouseWheel", x=corner[0], y=corner[1], deltaX=0, deltaY=120))
    looks(lambda: browser.key("+", "Equal", 187, "+"))
    looks(lambda: browser.key("Home", "Home", 36))
    browser.click(*browser.middle("#scene-farther"))

    # By keyboard alone, from the button before: to a layer, closed, opened, one of its maps, enlarged.
    browser.value(f"scene.kept = null; unpoint(); layers[{place}].go(0); layers[{source}].go(0);"
                  "document.querySelector('.tools summary').focus()")
    browser.key("Tab", "Tab", 9)
    assert browser.value("document.activeElement === scene.canvas")
    for _ in range(place):
        browser.key("ArrowRight", "ArrowRight", 39)
    assert browser.value("scene.kept.layer.place") == place
    assert browser.value(f"!told.hidden && told.textContent.includes(layers[{place}].name)"), "it is told"
    browser.key("Enter", "Enter", 13, "\r")
    browser.wait(OPENED.format(place))
    browser.key("ArrowDown", "ArrowDown", 40)
    browser.key("ArrowDown", "ArrowDown", 40)
    assert browser.value("scene.kept.map") == 1
    browser.wait("told.textContent.includes('map 1 of')")
    still(browser)
    browser.shot(shots, f"{stem}-scene-keyboard")
    browser.key(" ", "Space", 32, " ")
    check_enlarged(browser, place, 1, shots, stem)
    browser.value("scene.canvas.focus()")
    browser.key("Enter", "Enter", 13, "\r")
    browser.wait(f"layers[{place}].at === 0")

    # The strip leads to any layer.
    last = browser.value("layers.length") - 1
    bounds = browser.value("(() => { const b = scene.strip.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()")
    browser("Input.dispatchMouseEvent", type="mousePressed", x=bounds[0] + bounds[2] - 4, y=bounds[1] + bounds[3] / 2, button="left",
            buttons=1, clickCount=1)
    browser("Input.dispatchMouseEvent", type="mouseReleased", x=bounds[0] + bounds[2] - 4, y=bounds[1] + bounds[3] / 2, button="left",
            clickCount=1)
    still(browser)
    browser.value("scene.draw()")
    assert browser.value(f"scene.solids[{last}].seen"), "the strip leads to the last layer"

    # Dark, on a phone, and back to the list.
    browser.media(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
    browser.value("scene.overview(false, true)")
    assert drawn(browser) > 20
    browser.shot(shots, f"{stem}-scene-dark")
    browser.window(390, 844, 2, True)
    time.sleep(0.3)
    browser.value("scene.overview(false); scene.section.scrollIntoView({ block: 'center' })")
    assert drawn(browser) > 20
    assert browser.value("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"
    browser.shot(shots, f"{stem}-scene-phone")
    browser.window(1200, 900)
    browser.click(*browser.middle("#solid"))
    assert browser.value("scene.section.hidden && document.querySelector('main').offsetHeight > 0")


def check_enlarged(browser, place, map, shots, stem):
    """A map by itself tells the value at the pointer and at the place that keys choose; it is closed in the end."""
    browser.wait("enlarged.dialog.open && document.activeElement === enlarged.canvas")
    value = "enlarged.value.textContent"
    height, width = browser.value(f"[layers[{place}].height, layers[{place}].width]")
    assert f"map {map} of" in browser.value("enlarged.name.textContent")
    x, y, across, down = browser.value(
        "(() => { const b = enlarged.canvas.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )
    # All of its values lie in the range that the layer states, and, where it is no slice of a map, one at each end of it.
    ends = browser.value(f"layers[{place}].ranges[{map}]?.map(Number)")
    values = browser.value(
        "Array.from({ length: enlarged.layer.height * enlarged.layer.width },"
        " (_, i) => parseFloat(enlarged.told(Math.floor(i / enlarged.layer.width), i % enlarged.layer.width)))"
    )
    if ends:
        spare = (ends[1] - ends[0]) / 1000 + 1e-30
        inside = min(values) >= ends[0] - spare and max(values) <= ends[1] + spare
        whole = browser.value(f"layers[{place}].slices") > 1 or min(values) <= ends[0] + spare and max(values) >= ends[1] - spare
        assert inside and whole, (min(values), max(values), ends)
    browser.mouse("mouseMoved", x + across * 0.5 / width, y + down * 0.5 / height)
    first = browser.value(value)
    assert first.startswith("row 0, column 0: " if height > 1 else "column 0: "), first
    browser.key("ArrowRight", "ArrowRight", 39)
    if width > 1:
        assert "column 1: " in browser.value(value), browser.value(value)
    browser.shot(shots, f"{stem}-enlarged")
    browser.key("Escape", "Escape", 27)
    browser.wait("!enlarged.dialog.open")


def check_without_webgl(browser, page):
    """A browser that gives no WebGL is told so, and keeps the list."""
    script = browser(
        "Page.addScriptToEvaluateOnNewDocument",
        source="HTMLCanvasElement.prototype.getContext = ((own) => function (kind, ...more) {"
        " return kind === 'webgl2' ? null : own.call(this, kind, ...more); })(HTMLCanvasElement.prototype.getContext)",
    )["identifier"]
    browser.load(page)
    browser.click(*browser.middle("#solid"))
    assert "WebGL 2" in browser.value("document.getElementById('scene-problem').textContent")
    assert browser.value("scene.section.hidden && document.querySelector('main').offsetHeight > 0")
    browser("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def opens_in_steps(browser, place, at, shots, shot):
    """Clicks there, and sees a layer open: slowly until it is seen on its way, however slow the machine is."""
    # A layer that is out of sight opens at once, and a page knows what is in sight from its first frame on.
    browser.wait(f"layers[{place}].seen()")
    usual = browser.value(f"layers[{place}].time")
    browser.value(f"layers[{place}].time = 60_000")
    browser.click(*at)
    assert browser.value(f"layers[{place}].aim") == 1
    browser.wait(f"layers[{place}].at > 0 && layers[{place}].at < 1")
    browser.shot(shots, shot)
    browser.value(f"layers[{place}].time = {usual}")
    browser.wait(OPENED.format(place))


def check(browser, page, shots):
    stem = page.stem
    browser.window(1200, 900)
    browser.media(prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    browser.load(page)
    place = browser.value(f"{SEVERAL}.place")
    maps = browser.value(f"layers[{place}].maps")
    button = f"#layer-{place} .toggle"
    expanded = f"document.querySelector({json.dumps(button)}).getAttribute('aria-expanded')"
    browser.shot(shots, f"{stem}-closed")
    browser.shot(shots, f"{stem}-closed-whole", whole=True)

    # By click, with the time that opening takes.
    assert browser.value(expanded) == "false"
    opens_in_steps(browser, place, browser.middle(button), shots, f"{stem}-opening")
    assert browser.value(expanded) == "true"
    browser.wait(f"layers[{place}].picture")
    assert browser.value(COLOURS.format(place)) > 8, "maps appear"
    browser.shot(shots, f"{stem}-open")

    # Pointing at a map, wherever one is found near the middle.
    x, y, width, height = browser.value(
        f"(() => {{ const b = layers[{place}].plane.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }})()"
    )
    told = "document.getElementById('told')"
    for part in range(30, 71, 4):
        browser.mouse("mouseMoved", x + width * part / 100, y + height * 0.55)
        if browser.value(f"!{told}.hidden"):
            break
    text = browser.value(f"{told}.textContent")
    assert f"of {maps} ·" in text and "×" in text and "from " in text and "made of" in text, text
    source = browser.value(f"layers[{place}].inputs[0]")
    assert browser.value(f"layers[{source}].lit !== null"), "the sources are lit"
    assert browser.value(f"document.getElementById('edge-{source}-{place}').classList.contains('lit')")
    browser.shot(shots, f"{stem}-pointed")
    browser.mouse("mouseMoved", 3, 3)
    assert browser.value(f"{told}.hidden && layers[{source}].lit === null")

    # By keyboard: closed with the space bar, opened with Enter.
    browser.value(f"document.querySelector({json.dumps(button)}).focus()")
    browser.key(" ", "Space", 32, " ")
    assert browser.value(expanded) == "false"
    browser.wait(f"layers[{place}].at === 0")
    browser.key("Enter", "Enter", 13, "\r")
    assert browser.value(expanded) == "true"
    browser.wait(OPENED.format(place))
    # Past the button that enlarges to the slider, and one map further, where there is one.
    browser.key("Tab", "Tab", 9)
    assert browser.value("document.activeElement.textContent") == "Enlarge"
    browser.key("Tab", "Tab", 9)
    assert browser.value("document.activeElement.type") == "range"
    chosen = int(browser.value("document.activeElement.value"))
    browser.key("ArrowRight", "ArrowRight", 39)
    assert f"map {min(chosen + 1, maps - 1)} of {maps}" in browser.value("document.activeElement.getAttribute('aria-valuetext')")
    browser.shot(shots, f"{stem}-keyboard")

    # A map of a depthwise layer is made of one map of the layer before.
    depthwise = browser.value("layers.findIndex((layer) => Array.isArray(layer.links) && layer.links[1] === 1)")
    if depthwise >= 0:
        last = browser.value(f"layers[{depthwise}].maps") - 1
        source, before = browser.value(
            f"[layers[{depthwise}].inputs[0], layers[layers[{depthwise}].inputs[0]].maps - 1]"
        )
        browser.value(f"layers[{depthwise}].point({last}, null)")
        assert browser.value(f"layers[{source}].lit") == [before, before + 1]
        assert f"made of map {before} of" in browser.value(f"{told}.textContent")
        browser.value("unpoint()")

    # Of maps over three axes one slice is shown, closed and open, and a slider chooses it.
    volume = browser.value("layers.findIndex((layer) => layer.slices > 1 && !layer.single && layer.ranges)")
    if volume >= 0:
        check_slices(browser, volume)
        browser.shot(shots, f"{stem}-slices")
    # Maps over one axis are strips, that can be seen.
    line = browser.value("layers.findIndex((layer) => layer.width >= 32 && layer.height === 1 && !layer.units)")
    if line >= 0:
        width, height = browser.value(f"[layers[{line}].plane.offsetWidth, layers[{line}].plane.offsetHeight]")
        assert height * 32 > width, f"a strip of {width} by {height}"
        browser.value(f"layers[{line}].item.scrollIntoView()")
        time.sleep(0.3)
        browser.shot(shots, f"{stem}-strips")

    # What assistive technology is told.
    nodes = browser("Accessibility.getFullAXTree")["nodes"]
    named = {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if "role" in n}
    name = browser.value(f"layers[{place}].name")
    for wanted in [
        ("button", f"{name}: close {maps} maps"),
        ("slider", f"Map of {name}"),
        ("button", "Open all"),
        ("button", "Close all"),
        ("button", "Flat"),
        ("heading", name),
    ]:
        assert wanted in named, f"{wanted} among {sorted(named)}"
    unnamed = [role for role, text in named if role in ("button", "image", "slider", "link") and not text]
    assert not unnamed, unnamed

    # All of them, at once where the reader wants no motion.
    browser.media(prefers_color_scheme="dark", prefers_reduced_motion="reduce")
    browser.value("scrollTo(0, 0)")
    start = time.monotonic()
    browser.click(*browser.middle("#open-all"))
    assert browser.value("layers.every((layer) => layer.at === 1 || layer.single || !layer.canvas)"), "at once"
    browser.wait("layers.every((layer) => !layer.near || !layer.canvas || layer.sheet === null || layer.picture)")
    print(f"{stem}: all open in {time.monotonic() - start:.2f} s")
    time.sleep(0.3)
    browser.shot(shots, f"{stem}-dark")
    browser.shot(shots, f"{stem}-dark-whole", whole=True)
    browser.click(*browser.middle("#flat"))
    assert browser.value("document.getElementById('flat').getAttribute('aria-pressed')") == "true"
    browser.value(f"document.getElementById('layer-{place}').scrollIntoView()")
    time.sleep(0.3)
    browser.shot(shots, f"{stem}-flat")

    # On a phone nothing stands out at the side.
    browser.media(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    browser.window(390, 844, 2, True)
    time.sleep(0.3)
    assert browser.value("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"
    browser.shot(shots, f"{stem}-phone")
    browser.value("scrollTo(0, 0)")
    browser.click(*browser.middle("#close-all"))
    assert browser.value("layers.every((layer) => layer.at === 0 || layer.single)")
    browser.value("scrollTo(0, 0)")
    time.sleep(0.3)
    browser.shot(shots, f"{stem}-phone-closed")

    browser.window(1200, 900)
    check_scene(browser, place, shots, stem)
    complaints = browser.complaints()
    assert not complaints, complaints
    check_without_webgl(browser, page)


def chromium():
    return next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


def without_chromium():
    """Says so; the status to end with."""
    print("skipped: there is no Chromium; apt install chromium")
    return 1 if os.environ.get("REQUIRE_CHROMIUM") == "1" else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path, metavar="DIR")
    arguments = parser.parse_args()
    program = chromium()
    if program is None:
        return without_chromium()
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            for page in arguments.pages:
                check(browser, page, arguments.screenshots)
                print(f"{page}: all of it held, {page.stat().st_size:,} bytes")
        finally:
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
