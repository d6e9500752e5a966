"use strict";

// What the page holds of the model, and its layers: see `build`.
let model;
let layers = [];
/** The view in three dimensions: see scene.js. */
let scene = null;
/** Whether the page computes by itself. */
const live = document.body.classList.contains("live");
const list = document.getElementById("layers");
const told = document.getElementById("told");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

// How the planes lie: turned by TURN in their plane, then leant back by LEAN.
const TURN = 20 * Math.PI / 180;
const LEAN = 46 * Math.PI / 180;
// The height, in pixels, of the stack that a closed layer lies on.
const STACK = 34;
// The longest side of a single map.
const LONGEST = 128;
// The height of an open layer.
const HIGHEST = 460;
const tilted = () => document.body.classList.contains("tilted");

/** The size of what a plane of this size covers on the page. */
function covered(width, height) {
    if (!tilted()) {
        return [width, height];
    }
    const [sine, cosine] = [Math.sin(TURN), Math.cos(TURN)];
    return [width * cosine + height * sine, (width * sine + height * cosine) * Math.cos(LEAN)];
}

/** Whole pixels for each value where there is room for more than one. */
const whole = (scale) => scale >= 2 ? Math.floor(scale) : scale;

class Layer {
    constructor(data, place) {
        Object.assign(this, data);
        this.place = place;
        this.item = document.getElementById(`layer-${place}`);
        this.button = this.item.querySelector(".toggle");
        this.stage = this.item.querySelector(".stage");
        this.box = this.item.querySelector(".box");
        this.plane = this.item.querySelector(".plane");
        this.image = this.item.querySelector(".plane img");
        this.single = this.maps === 1;
        this.color = this.item.style.getPropertyValue("--color").trim();
        // The height of a map in widths of a value.
        this.high = this.height * this.stretch;
        this.slice = Math.floor(this.slices / 2);
        // From closed, 0, to open, 1; where it is, and where it goes.
        this.at = this.aim = this.open && !this.single ? 1 : 0;
        this.near = false;
        this.chosen = null;
        // The maps that the map pointed at is made of: a pair of bounds, or all.
        this.lit = null;
        // How often what a closed layer shows has changed.
        this.stamp = 0;
        if (!this.image) {
            return;
        }
        if (live || this.slices > 1) {
            const canvas = document.createElement("canvas");
            Object.assign(canvas, { className: "pixels", width: this.width, height: this.height });
            canvas.setAttribute("role", "img");
            canvas.setAttribute("aria-label", this.image.alt);
            this.image.replaceWith(canvas);
            this.stacked = this.image;
            this.image = canvas;
        }
        this.image.addEventListener("pointermove", (event) => this.point(null, event));
        this.image.addEventListener("pointerleave", unpoint);
        if (live || this.ranges) {
            const enlarge = document.createElement("button");
            Object.assign(enlarge, { type: "button", textContent: "Enlarge" });
            enlarge.setAttribute("aria-label", `${this.name}: enlarge`);
            enlarge.addEventListener("click", () => enlarged.open(this, null));
            this.item.querySelector(".about").append(enlarge);
        }
        if (this.button) {
            this.unfold();
        }
        if (this.slices > 1) {
            this.depth = this.choice("Slice", this.slices, this.slice, (slice) => this.cut(slice));
            this.cut(this.slice);
        }
    }

    /** Makes what an open layer has: each of its maps, and a slider that points at one. */
    unfold() {
        this.button.addEventListener("click", () => this.toggle());
        this.image.addEventListener("click", () => this.go(1));
        this.canvas = document.createElement("canvas");
        this.canvas.setAttribute("role", "img");
        this.canvas.addEventListener("pointermove", (event) => this.pointAt(event));
        this.canvas.addEventListener("pointerdown", (event) => this.pointAt(event));
        this.canvas.addEventListener("pointerleave", unpoint);
        this.canvas.addEventListener("dblclick", () => this.chosen !== null && enlarged.open(this, this.chosen));
        this.plane.append(this.canvas);
        this.slider = this.choice("Map", this.maps, 0, (map) => this.point(map, null));
        this.pick = this.slider.parentElement;
        this.slider.addEventListener("focus", () => {
            if (this.slider.matches(":focus-visible")) {
                this.point(Number(this.slider.value), null);
            }
        });
        this.slider.addEventListener("blur", unpoint);
        this.nameButton();
    }

    /** A slider below the layer that chooses one of so many. */
    choice(text, most, value, chosen) {
        const label = document.createElement("label");
        label.className = "pick";
        const slider = document.createElement("input");
        Object.assign(slider, { type: "range", min: 0, max: most - 1, value });
        slider.setAttribute("aria-label", `${text} of ${this.name}`);
        slider.addEventListener("input", () => chosen(Number(slider.value)));
        label.append(text, slider);
        this.stage.append(label);
        return slider;
    }

    /** Shows one of the images that lie behind each other in every map. */
    async cut(slice) {
        this.slice = slice;
        this.depth.setAttribute("aria-valuetext", `slice ${slice} of ${this.slices}`);
        this.redraw();
        if (this.values) {
            this.fresh = true;
            this.refresh();
            return;
        }
        await this.stacked.decode();
        const context = this.image.getContext("2d");
        context.clearRect(0, 0, this.width, this.height);
        context.drawImage(this.stacked, 0, this.slice * this.height, this.width, this.height, 0, 0, this.width, this.height);
        this.stamp += 1;
        scene?.change();
    }

    /** Where a slice of a map begins in the sheet. */
    origin(map, slice) {
        return [map % this.sheet * this.width, (Math.floor(map / this.sheet) * this.slices + slice) * this.height];
    }

    nameButton() {
        const open = this.aim === 1;
        this.button.setAttribute("aria-expanded", String(open));
        this.button.setAttribute("aria-label", `${this.name}: ${open ? "close" : "open"} ${this.maps} maps`);
        this.button.textContent = open ? "✕ Close" : `Open ${this.maps} maps`;
        this.button.classList.toggle("gone", !this.closable);
        this.canvas.setAttribute("aria-label",
            `${this.maps} maps of ${this.name}, ${this.height} by ${this.width}, in ${count(this.columns, "column")}`);
    }

    toggle() {
        this.go(1 - this.aim);
    }

    /** Opens, 1, or closes, 0. */
    go(aim) {
        if (this.single || !this.canvas || this.aim === aim) {
            return;
        }
        unpoint();
        this.aim = aim;
        this.nameButton();
        if (still.matches || !this.seen()) {
            this.at = aim;
        } else {
            this.button.classList.add("moving");
            this.before = null;
            moving.add(this);
            requestAnimationFrame(step);
        }
        this.lay();
    }

    /** Whether it may be seen, in the list or in the scene. */
    seen() {
        return this.near || Boolean(scene?.sees(this));
    }

    /** A part of the way, at this time; whether there is more to go. */
    step(now) {
        const passed = this.before === null ? 0 : (now - this.before) / this.time;
        this.before = now;
        const before = this.at;
        this.at = this.aim > this.at ? Math.min(this.aim, this.at + passed) : Math.max(this.aim, this.at - passed);
        const more = this.at !== this.aim;
        this.button.classList.toggle("moving", more);
        if (before !== this.at) {
            this.lay();
        }
        return more;
    }

    /** Pixels for each value, closed and open. */
    scales() {
        const style = getComputedStyle(this.stage);
        const room = Math.max(80, this.stage.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
        const side = Math.min(LONGEST, room / 1.4);
        const units = this.units && this.units > 1;
        const closed = whole(Math.min(units ? room * .9 / covered(this.width, this.high)[0] : Infinity,
            units ? 24 : Infinity, side * (units ? 9 : this.stretch > 1 ? 3 : 1) / Math.max(this.width, this.high)));
        const [width, height] = [this.across(this.columns), this.down(this.rows)];
        const fit = Math.min(room / covered(width, height)[0], HIGHEST / covered(width, height)[1], closed);
        // Maps that would be too small to see may be scrolled to.
        return [closed, whole(Math.max(fit, 8 / Math.max(this.width, this.high)))];
    }

    /** The width of so many maps beside each other, half a map apart. */
    across(maps) {
        return this.width * (1.5 * maps - .5);
    }

    down(maps) {
        return this.high * (1.5 * maps - .5);
    }

    /** Where it is on the way, slow at both ends. */
    eased() {
        return this.at * this.at * (3 - 2 * this.at);
    }

    /** Gives the plane its size, and draws it. */
    lay() {
        if (!this.plane) {
            return;
        }
        scene?.change();
        const [closed, open] = this.scales();
        const way = this.eased();
        this.scale = closed + (open - closed) * way;
        const shut = [this.width * closed, this.high * closed];
        const full = [this.across(this.columns) * open, this.down(this.rows) * open];
        const [width, height] = [0, 1].map((i) => Math.round(shut[i] + (full[i] - shut[i]) * way));
        const [over, up] = covered(width, height);
        const stack = this.single ? 0 : (1 - way) * (tilted() ? STACK * Math.sin(LEAN) : 10);
        this.box.style.width = `${Math.ceil(over)}px`;
        this.box.style.height = `${Math.ceil(up + stack + 8)}px`;
        this.plane.style.width = `${width}px`;
        this.plane.style.height = `${height}px`;
        this.plane.style.transform = `translate(-50%, -50%) translateY(${-stack / 2}px)`
            + (tilted() ? ` rotateX(${LEAN}rad) rotateZ(${-TURN}rad)` : "");
        const closedNow = this.at === 0;
        this.plane.classList.toggle("shut", closedNow && !this.single);
        this.image.hidden = !closedNow;
        if (this.canvas) {
            this.canvas.hidden = closedNow;
            this.pick.hidden = this.at !== 1;
            this.pick.style.display = this.at === 1 ? "" : "none";
            this.size = [width, height];
            this.draw();
        }
    }

    /** The sheet of maps, asked for where it is needed first. */
    async fetch() {
        if (this.values) {
            this.picture ??= this.painted();
            return;
        }
        if (this.picture || this.coming || this.sheet === null) {
            return;
        }
        this.coming = true;
        const picture = new Image();
        picture.src = this.address();
        await picture.decode();
        this.coming = false;
        if (this.seen() && this.at > 0) {
            this.picture = picture;
            this.redraw();
        }
    }

    /** The address of the sheet that the page came with. */
    address() {
        return `data:image/png;base64,${document.getElementById(`sheet-${this.place}`).textContent}`;
    }

    /** Shows what the layer makes now, channels last. */
    show(values) {
        this.values = values;
        this.picture = null;
        const count = this.maps;
        this.bounds = Array.from({ length: count }, () => [Infinity, -Infinity]);
        for (let i = 0; i < values.length; i++) {
            const [bounds, value] = [this.bounds[i % count], values[i]];
            if (Number.isFinite(value)) {
                bounds[0] = Math.min(bounds[0], value);
                bounds[1] = Math.max(bounds[1], value);
            }
        }
        this.ranges = this.bounds.map(([least, most]) => least <= most ? [short(least), short(most)] : null);
        this.fresh = true;
        this.refresh();
        scene?.change();
        enlarged.follow(this);
    }

    /** Draws what is new where it can be seen. */
    refresh() {
        if (!this.fresh || !this.seen() || !this.image) {
            return;
        }
        this.fresh = false;
        this.stamp += 1;
        const pixels = new ImageData(this.width, this.height);
        const area = this.width * this.height;
        const start = this.slice * area;
        if (this.colored) {
            const [least, most] = [Math.min(...this.bounds.map(([least]) => least)), Math.max(...this.bounds.map(([, most]) => most))];
            const level = (value) => Math.round((value - least) / (most > least ? most - least : 1) * 255);
            for (let i = 0; i < area; i++) {
                const at = (channel) => level(this.values[(start + i) * this.maps + channel]);
                pixels.data.set([at(0), at(1), at(2), 255], 4 * i);
            }
        } else {
            const one = this.single ? this.values : this.combined();
            const finite = one.filter(Number.isFinite);
            const [least, most] = finite.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
            this.paint(pixels.data, this.width, 0, 0, one.subarray(start, start + area), 0, 1, least, most);
        }
        this.image.getContext("2d").putImageData(pixels, 0, 0);
        this.redraw();
    }

    /** The map that stands for all: of each pixel the average or the greatest, or NaN where one is not finite. */
    combined() {
        const [count, most] = [this.maps, this.aggregation === "max"];
        return Float32Array.from({ length: this.values.length / count }, (_, pixel) => {
            const channels = this.values.subarray(pixel * count, (pixel + 1) * count);
            return channels.every(Number.isFinite)
                ? most ? Math.max(...channels) : channels.reduce((sum, value) => sum + value, 0) / count : NaN;
        });
    }

    /** Writes one map into `data`, whose rows have `stride` pixels: the values from `first`, `step` apart. */
    paint(data, stride, left, top, values, first, step, least, most) {
        const [faint, full] = this.colors ??= [this.faint, this.color].map((color) =>
            [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));
        const span = most > least ? most - least : Infinity;
        for (let i = first, pixel = 0; i < values.length; i += step, pixel++) {
            const at = 4 * ((top + Math.floor(pixel / this.width)) * stride + left + pixel % this.width);
            const place = (values[i] - least) / span;
            for (let channel = 0; channel < 3; channel++) {
                data[at + channel] = Number.isFinite(values[i]) ? faint[channel] + (full[channel] - faint[channel]) * place
                    : [255, 0, 255][channel];
            }
            data[at + 3] = 255;
        }
    }

    /** The sheet of all maps as they are now. */
    painted() {
        this.sheet = Math.ceil(Math.sqrt(this.maps));
        const canvas = document.createElement("canvas");
        canvas.width = this.sheet * this.width;
        canvas.height = Math.ceil(this.maps / this.sheet) * this.slices * this.height;
        const pixels = new ImageData(canvas.width, canvas.height);
        for (let map = 0; map < this.maps; map++) {
            this.paint(pixels.data, canvas.width, ...this.origin(map, 0), this.values, map, this.maps, ...this.bounds[map]);
        }
        canvas.getContext("2d").putImageData(pixels, 0, 0);
        return canvas;
    }

    draw() {
        if (this.at === 0 || !this.near) {
            // Pictures take memory; those that nobody sees are made again when they are needed.
            this.canvas.width = this.canvas.height = 0;
            if (this.at === 0 || !this.seen()) {
                this.picture = null;
            }
            return;
        }
        this.fetch();
        const [width, height] = this.size;
        const dense = Math.min(devicePixelRatio || 1, 2);
        if (this.canvas.width !== Math.round(width * dense) || this.canvas.height !== Math.round(height * dense)) {
            this.canvas.width = Math.round(width * dense);
            this.canvas.height = Math.round(height * dense);
        }
        const context = this.canvas.getContext("2d");
        context.setTransform(dense, 0, 0, dense, 0, 0);
        context.clearRect(0, 0, width, height);
        context.imageSmoothingEnabled = this.scale * dense < 1;
        const [mapWidth, mapHeight] = [this.width * this.scale, this.high * this.scale];
        const middle = [(width - mapWidth) / 2, (height - mapHeight) / 2];
        const way = this.eased();
        for (let map = 0; map < this.maps; map++) {
            const [x, y] = this.corner(map).map((to, i) => middle[i] + (to - middle[i]) * way);
            if (this.picture) {
                context.drawImage(this.picture, ...this.origin(map, this.slice), this.width, this.height, x, y, mapWidth, mapHeight);
            } else {
                context.fillStyle = this.faint;
                context.fillRect(x, y, mapWidth, mapHeight);
            }
        }
        if (this.at === 1) {
            this.mark(context, mapWidth, mapHeight);
        }
    }

    /** The left upper corner of a map of an open layer. */
    corner(map) {
        const [column, row] = [Math.floor(map / this.rows), map % this.rows];
        return [column * this.width * this.scale * 1.5, row * this.high * this.scale * 1.5];
    }

    /** Frames the maps that are lit, and the one that is chosen. */
    mark(context, width, height) {
        const accent = getComputedStyle(document.body).getPropertyValue("--accent");
        const frame = (map, thick, color) => {
            const [x, y] = this.corner(map);
            context.strokeStyle = color;
            context.lineWidth = thick;
            context.strokeRect(x - thick / 2, y - thick / 2, width + thick, height + thick);
        };
        if (this.lit && this.lit !== "all") {
            for (let map = this.lit[0]; map < this.lit[1]; map++) {
                frame(map, 3, accent);
            }
        }
        if (this.chosen !== null) {
            frame(this.chosen, 3, "#ff4fa3");
        }
    }

    /** The map under the pointer, if it is not between maps. */
    pointAt(event) {
        const [x, y] = [event.offsetX / this.scale / this.width / 1.5, event.offsetY / this.scale / this.high / 1.5];
        const map = Math.floor(x) * this.rows + Math.floor(y);
        const within = x % 1 <= 2 / 3 && y % 1 <= 2 / 3 && Math.floor(y) < this.rows && map >= 0 && map < this.maps;
        if (!within || this.at !== 1) {
            unpoint();
        } else {
            this.slider.value = map;
            this.point(map, event);
        }
    }

    /** The bounds of the maps of input number `input` that a map is made of; all make up the one of a closed layer. */
    feeding(map, input) {
        const maps = layers[this.inputs[input]].maps;
        if (map === null || this.links === "all") {
            return [0, maps];
        }
        if (this.links === "same") {
            return maps === 1 ? [0, 1] : [map, map + 1];
        }
        if (this.links === "concatenated") {
            const start = this.inputs.slice(0, input).reduce((sum, place) => sum + layers[place].maps, 0);
            return map >= start && map < start + maps ? [map - start, map - start + 1] : [0, 0];
        }
        const group = Math.floor(map / this.links[0]);
        return [group * this.links[1], Math.min(maps, (group + 1) * this.links[1])];
    }

    /** What is said of a map, or, without one, of what stands for all. */
    told(map) {
        const range = this.ranges && (this.single ? this.ranges[0] : this.ranges[map]);
        const extents = [this.slices, this.height, this.width].slice(this.slices > 1 ? 0 : 1);
        const size = this.units ? count(this.units, "value") : extents.join(" × ");
        const lines = [this.single ? `${this.name} · ${size}`
            : map === null ? `${this.name} · ${this.maps} maps of ${size}`
                : `${this.name} · map ${map} of ${this.maps} · ${size}`];
        if (range) {
            lines.push(`from ${range[0]} to ${range[1]}`);
        } else if (this.ranges && (this.single || map !== null)) {
            lines.push("no finite value");
        }
        const sources = this.inputs.map((place, input) => {
            const [from, to] = this.feeding(map, input);
            const source = layers[place];
            if (to <= from) {
                return null;
            }
            if (source.maps === 1 || to - from === source.maps) {
                return source.maps === 1 ? source.name : `all ${source.maps} maps of ${source.name}`;
            }
            return to - from === 1 ? `map ${from} of ${source.name}` : `maps ${from} to ${to - 1} of ${source.name}`;
        }).filter((source) => source);
        if (sources.length > 0) {
            lines.push(`made of ${sources.join(", ")}`);
        }
        return lines.join("\n");
    }

    /** Tells of a map and lights those that it is made of. */
    point(map, event) {
        if (pointed && (pointed.layer !== this || pointed.map !== map)) {
            unpoint();
        }
        if (!pointed) {
            pointed = { layer: this, map, lit: [] };
            this.chosen = map;
            this.redraw();
            if (this.slider && map !== null) {
                this.slider.setAttribute("aria-valuetext", this.told(map));
            }
            if (model.relations) {
                this.inputs.forEach((place, input) => {
                    const [from, to] = this.feeding(map, input);
                    if (to > from) {
                        layers[place].light(to - from === layers[place].maps ? "all" : [from, to]);
                        pointed.lit.push(layers[place]);
                        document.getElementById(`edge-${place}-${this.place}`)?.classList.add("lit");
                    }
                });
            }
        }
        if (model.texts) {
            told.textContent = this.told(map);
            told.hidden = false;
            const [x, y] = event ? [event.clientX + 14, event.clientY + 18] : (() => {
                const bounds = this.slider.getBoundingClientRect();
                return [bounds.left, bounds.bottom + 4];
            })();
            told.style.left = `${Math.max(4, Math.min(x, innerWidth - told.offsetWidth - 8))}px`;
            told.style.top = `${Math.max(4, y + told.offsetHeight > innerHeight ? y - told.offsetHeight - 36 : y)}px`;
        }
    }

    light(maps) {
        this.lit = maps;
        this.plane?.classList.toggle("lit", maps === "all" || (maps !== null && (this.at === 0 || this.single)));
        this.redraw();
    }

    redraw() {
        scene?.change();
        if (this.canvas && this.at === 1 && this.near) {
            this.draw();
        }
    }
}

/** The map that is pointed at, with its layer and the layers lit by it. */
let pointed = null;

function unpoint() {
    if (!pointed) {
        return;
    }
    const { layer, lit } = pointed;
    pointed = null;
    told.hidden = true;
    layer.chosen = null;
    layer.redraw();
    lit.forEach((other) => other.light(null));
    document.querySelectorAll(".edges .lit").forEach((edge) => edge.classList.remove("lit"));
}

/** Layers on their way between open and closed. */
const moving = new Set();

function step(now) {
    for (const layer of moving) {
        if (!layer.step(now)) {
            moving.delete(layer);
        }
    }
    if (moving.size > 0) {
        requestAnimationFrame(step);
    }
}

/** A number in four digits. */
const short = (value) => value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(2)
    : String(Number(value.toPrecision(4)));

// The lines between layers: straight to the next one, around others in lanes of their own.
const NS = "http://www.w3.org/2000/svg";
const edges = document.createElementNS(NS, "svg");
edges.setAttribute("class", "edges");
edges.setAttribute("aria-hidden", "true");
list.before(edges);

let wires = [];
let dots = [];
let gutter = 0;

/** Takes in what the page holds: the list of layers, and what is to be known of them. */
function build() {
    unpoint();
    model = JSON.parse(document.getElementById("model").textContent);
    layers = model.layers.map((data, place) => new Layer(data, place));
    layers.forEach((layer) => layer.slider?.setAttribute("aria-valuetext", layer.told(0)));
    edges.replaceChildren();
    wires = [];
    const lanes = [];
    layers.forEach((layer) => new Set(layer.inputs).forEach((from) => {
        let lane = 0;
        if (from + 1 !== layer.place) {
            lane = 1;
            while ((lanes[lane] || []).some(([start, end]) => start < layer.place && from < end)) {
                lane++;
            }
            (lanes[lane] ||= []).push([from, layer.place]);
        }
        const path = document.createElementNS(NS, "path");
        path.id = `edge-${from}-${layer.place}`;
        edges.append(path);
        wires.push({ from, to: layer.place, lane, path });
    }));
    dots = layers.map((layer) => {
        const dot = document.createElementNS(NS, "circle");
        dot.setAttribute("r", 5);
        dot.setAttribute("fill", layer.color);
        edges.append(dot);
        return dot;
    });
    const depth = Math.max(0, ...wires.map((wire) => wire.lane));
    gutter = 26 + 9 * Math.min(depth, 6);
    list.style.setProperty("--gutter", `${gutter}px`);
    watch.disconnect();
    layers.forEach((layer) => watch.observe(layer.item));
    scene?.build();
}

function wire() {
    const x = gutter - 14;
    const heights = layers.map((layer) => layer.item.offsetTop + 26);
    edges.setAttribute("width", gutter);
    edges.setAttribute("height", list.offsetHeight);
    dots.forEach((dot, place) => {
        dot.setAttribute("cx", x);
        dot.setAttribute("cy", heights[place]);
    });
    for (const { from, to, lane, path } of wires) {
        const [start, end] = [heights[from], heights[to]];
        const side = Math.max(4, x - 9 * lane);
        const bend = Math.min(18, (end - start) / 2);
        path.setAttribute("d", lane === 0 ? `M${x} ${start}V${end}`
            : `M${x} ${start}Q${side} ${start} ${side} ${start + bend}V${end - bend}Q${side} ${end} ${x} ${end}`);
    }
}

// Layers are drawn where they are near the window.
const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
        const layer = layers[Number(target.id.slice("layer-".length))];
        layer.near = isIntersecting;
        layer.refresh();
        if (layer.canvas) {
            layer.lay();
        }
    }
}, { rootMargin: "300px" });
build();

let width = 0;
new ResizeObserver(() => {
    if (list.clientWidth !== width) {
        width = list.clientWidth;
        layers.forEach((layer) => layer.lay());
    }
    wire();
}).observe(list);

for (const [id, aim] of [["open-all", 1], ["close-all", 0]]) {
    document.getElementById(id).addEventListener("click", () => layers.forEach((layer) => layer.go(aim)));
}
const flat = document.getElementById("flat");
flat.setAttribute("aria-pressed", String(!tilted()));
flat.addEventListener("click", () => {
    document.body.classList.toggle("tilted");
    document.body.classList.toggle("flat");
    flat.setAttribute("aria-pressed", String(!tilted()));
    layers.forEach((layer) => layer.lay());
});
