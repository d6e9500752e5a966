// A page that computes by itself: the model runs in a worker, on the reader's GPU, and every layer shows what it makes.

const part = (id) => document.getElementById(`live-${id}`);
const decoded = (id) => Uint8Array.from(atob(part(id).textContent), (letter) => letter.charCodeAt(0));
const text = (id) => new TextDecoder().decode(decoded(id));
const state = document.getElementById("state");
const pad = document.getElementById("pad");
const ink = pad.getContext("2d", { willReadFrequently: true });
const scores = document.getElementById("scores");

let remote = null;
/** What `load` tells of the model. */
let loaded = null;
/** What is to be shown next: a function that gives the model's inputs. */
let wanted = null;
/** What was shown last. */
let current = null;
let busy = false;
/** The arrays that the layers show, by their places. */
let shown = [];
/** What a page has besides that trains its model: train.js. */
const learning = document.getElementById("learn") && new Learning();

function say(words, wrong = false) {
    state.textContent = words;
    state.classList.toggle("wrong", wrong);
}

const problem = (error) => say(error.message, true);

/** The height and width of the model's input, those that are unknown 224; nothing where it takes no pictures. */
function size() {
    const [shape, ...others] = loaded.inputShapes;
    if (others.length > 0 || shape.length !== 4) {
        return null;
    }
    const first = [1, 3, 4].includes(shape[1]) && ![1, 3, 4].includes(shape[3]);
    return (first ? shape.slice(2) : shape.slice(1, 3)).map((extent) => extent ?? 224);
}

/** The model's inputs where nothing is drawn and no picture given. */
const zeros = () => loaded.inputShapes.map((shape) => {
    const dims = shape.map((extent, axis) => extent ?? (axis === 0 ? 1 : 224));
    return { shape: dims, values: new Float32Array(dims.reduce((a, b) => a * b, 1)) };
});

/** Has the model see what this gives, as soon as it has seen what it sees now. */
async function see(inputs) {
    wanted = current = inputs;
    if (busy || !loaded) {
        return;
    }
    busy = true;
    while (wanted) {
        const next = wanted;
        wanted = null;
        try {
            await follow(await next());
        } catch (error) {
            problem(error);
        }
    }
    busy = false;
}

/** Shows what the model makes of these inputs. */
async function follow(given) {
    const start = performance.now();
    await remote.predictAll(given);
    const took = performance.now() - start;
    shown = await remote.layerOutputs(given);
    shown.forEach(({ values }, place) => show(layers[place], values));
    showScores();
    const [best] = ranked();
    say(`${best ? `Best: ${label(best.index)}, ${short(best.score)}. ` : ""}Computed in ${took.toFixed(1)} ms on ${
        remote.isSoftware ? "a processor that acts as a GPU" : "your GPU"}.`);
    window.seen = (window.seen ?? 0) + 1;
}

/** Shows what a layer makes, in its maps and in words. */
function show(layer, values) {
    layer.show(values);
    const finite = layer.bounds.filter(([least, most]) => least <= most);
    const least = Math.min(...finite.map(([bound]) => bound));
    const most = Math.max(...finite.map(([, bound]) => bound));
    fact(layer, "Values", finite.length > 0 ? `${short(least)} to ${short(most)}` : "no values");
    layer.sum?.();
}

/** Writes a line of a layer's facts. */
function fact(layer, term, words) {
    const facts = layer.item.querySelector("dl");
    let row = [...facts.children].find((row) => row.firstChild.textContent === term);
    if (!row) {
        row = document.createElement("div");
        row.append(document.createElement("dt"), document.createElement("dd"));
        row.firstChild.textContent = term;
        facts.append(row);
    }
    row.lastChild.textContent = words;
}

const label = (index) => model.labels[index] ?? String(index);

/** The scores of the first output that has some, greatest first. */
function ranked() {
    const place = model.outputs.find((place) => shown[place]?.shape.length === 1);
    if (place === undefined) {
        return [];
    }
    return [...shown[place].values].map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score || a.index - b.index);
}

/** The scores as bars: all in their order where there are few, and else the best. */
function showScores() {
    const all = ranked();
    const few = all.length <= 10;
    const listed = few ? [...all].sort((a, b) => a.index - b.index) : all.slice(0, 10);
    const finite = listed.map(({ score }) => score).filter(Number.isFinite);
    const [least, most] = [Math.min(0, ...finite), Math.max(0, ...finite)];
    const span = most > least ? most - least : 1;
    const table = document.createElement("table");
    const caption = table.createCaption();
    caption.textContent = all.length === 0 ? "The model gives no scores." : few ? "Scores" : `Scores, the best 10 of ${all.length}`;
    for (const { index, score } of listed) {
        const row = table.insertRow();
        row.className = index === all[0].index ? "best" : "";
        const name = document.createElement("th");
        name.scope = "row";
        name.textContent = label(index);
        const bar = document.createElement("td");
        bar.className = "bar";
        const filled = document.createElement("span");
        const at = Number.isFinite(score) ? [(Math.min(score, 0) - least) / span, Math.abs(score) / span] : [0, 0];
        filled.style.marginLeft = `${at[0] * 100}%`;
        filled.style.width = `${at[1] * 100}%`;
        bar.append(filled);
        const number = document.createElement("td");
        number.textContent = short(score);
        row.append(name, bar, number);
    }
    scores.replaceChildren(table);
}

// What the model sees of a picture or of the pad.

/** The pixels of `source` in the size of the model's input, whose part at `x`, `y` is taken. */
function pixels(source, x, y, width, height) {
    const [rows, columns] = size();
    const canvas = new OffscreenCanvas(columns, rows);
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, columns, rows);
    context.imageSmoothingQuality = "high";
    context.drawImage(source, x, y, width, height, 0, 0, columns, rows);
    return context.getImageData(0, 0, columns, rows).data;
}

/** The inputs that a picture is, which fills the model's input. */
const fitted = (source) => async () => {
    const [rows, columns] = size();
    const scale = Math.min(source.width / columns, source.height / rows);
    const [width, height] = [columns * scale, rows * scale];
    const rgba = pixels(source, (source.width - width) / 2, (source.height - height) / 2, width, height);
    return [await remote.pixels(rows, columns, rgba)];
};

/** What is drawn, in the middle and as high as the input, as in sets of handwriting. */
async function drawn() {
    const { data } = ink.getImageData(0, 0, pad.width, pad.height);
    let [left, top, right, bottom] = [pad.width, pad.height, 0, 0];
    for (let at = 0; at < data.length; at += 4) {
        if (data[at] > 40) {
            const [x, y] = [at / 4 % pad.width, Math.floor(at / 4 / pad.width)];
            [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
        }
    }
    const [rows, columns] = size();
    const side = Math.max(right - left + 1, bottom - top + 1);
    const rgba = right < left ? new Uint8ClampedArray(4 * rows * columns)
        : pixels(pad, (left + right + 1 - side) / 2, (top + bottom + 1 - side) / 2, side, side);
    return [await remote.pixels(rows, columns, rgba)];
}

function wipe() {
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, pad.width, pad.height);
    Object.assign(pen, { at: [pad.width / 2, pad.height / 2], down: false });
}

function stroke(from, to) {
    Object.assign(ink, { strokeStyle: "#fff", lineWidth: 26, lineCap: "round", lineJoin: "round" });
    ink.beginPath();
    ink.moveTo(...from);
    ink.lineTo(...to);
    ink.stroke();
}

/** Where the pen is, and whether it draws. */
const pen = {};

function move(to) {
    if (pen.down) {
        stroke(pen.at, to);
        see(drawn);
    }
    pen.at = to;
}

const within = (event) => {
    const bounds = pad.getBoundingClientRect();
    return [(event.clientX - bounds.x) * pad.width / bounds.width, (event.clientY - bounds.y) * pad.height / bounds.height];
};
pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    cameraOff();
    Object.assign(pen, { at: within(event), down: true });
    move(pen.at);
});
pad.addEventListener("pointermove", (event) => {
    if (event.buttons) {
        event.getCoalescedEvents().concat(event).forEach((one) => move(within(one)));
    }
});
pad.addEventListener("pointerup", () => { pen.down = false; });
pad.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-14, 0], ArrowRight: [14, 0], ArrowUp: [0, -14], ArrowDown: [0, 14] }[event.key];
    if (step) {
        move(pen.at.map((at, axis) => Math.max(0, Math.min(pad.width, at + step[axis]))));
    } else if (event.key === " ") {
        cameraOff();
        pen.down = !pen.down;
        say(pen.down ? "The pen is down." : "The pen is up.");
        move(pen.at);
    } else {
        return;
    }
    event.preventDefault();
});
document.getElementById("wipe").addEventListener("click", () => {
    cameraOff();
    wipe();
    see(size() ? drawn : zeros);
});

// The camera, whose pictures the model sees one after the other while it is on.

const shutter = document.getElementById("camera");
/** What the camera shows; nothing while it is off. */
let film = null;

/** Turns the camera off. */
function cameraOff() {
    film?.srcObject.getTracks().forEach((track) => track.stop());
    film = null;
    shutter.setAttribute("aria-pressed", false);
}

/** The model's inputs for the picture that `video` has now, which the pad shows as well, from its middle. */
const frame = (video) => async () => {
    const picture = await createImageBitmap(video);
    const side = Math.min(picture.width, picture.height);
    ink.drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side, 0, 0, pad.width, pad.height);
    return fitted(picture)();
};

async function shoot() {
    if (!loaded || !size()) {
        throw new Error("the camera is for models with one input of height, width and channels; this one takes another");
    }
    if (!navigator.mediaDevices) {
        throw new Error("a browser gives its camera to pages from disk and from https alone; open this one so");
    }
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).catch((error) => {
        throw new Error(`the browser gives no camera: ${error.message}`);
    });
    await video.play();
    film = video;
    shutter.setAttribute("aria-pressed", true);
    const next = async () => {
        if (film === video) {
            await see(frame(video));
            requestAnimationFrame(next);
        }
    };
    next();
}
shutter.addEventListener("click", () => (film ? cameraOff() : shoot().catch(problem)));

/** Takes a picture or a model. */
async function take(file) {
    cameraOff();
    try {
        if (/\.npz$/i.test(file.name)) {
            if (!learning) {
                throw new Error("samples are for a page that trains its model: wgpu-conv view --live PACKAGE --train writes one");
            }
            await learning.stop();
            learning.given(async () => new Uint8Array(await file.arrayBuffer()), file.name);
        } else if (file.type.startsWith("image/")) {
            if (!loaded || !size()) {
                throw new Error("pictures are for models with one input of height, width and channels; received a picture for another");
            }
            const picture = await createImageBitmap(file);
            wipe();
            const scale = Math.min(pad.width / picture.width, pad.height / picture.height);
            const [width, height] = [picture.width * scale, picture.height * scale];
            ink.drawImage(picture, (pad.width - width) / 2, (pad.height - height) / 2, width, height);
            await see(fitted(picture));
        } else {
            await load(new Uint8Array(await file.arrayBuffer()), file.name);
        }
    } catch (error) {
        problem(error);
    }
}

for (const id of ["picture", "own"]) {
    document.getElementById(id).addEventListener("change", (event) => event.target.files.length && take(event.target.files[0]));
}
addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
});
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    if (event.dataTransfer.files.length > 0) {
        take(event.dataTransfer.files[0]);
    }
});

// Models.

/** Shows another model, called `name`, instead of the one before. */
async function load(bytes, name) {
    say(`Loading ${name}.`);
    await learning?.stop();
    const [told, before] = [await remote.load(bytes), loaded];
    loaded = told;
    if (before) {
        const page = new DOMParser().parseFromString(await remote.page(zeros()), "text/html");
        for (const selector of ["#layers", "#model", "h1", ".facts"]) {
            document.querySelector(selector).innerHTML = page.querySelector(selector).innerHTML;
        }
        document.title = page.title;
        document.getElementById("sample").hidden = true;
        build();
        layers.forEach((layer) => layer.lay());
        wire();
        wipe();
    }
    furnish();
    await see(before ? zeros : begun());
    learning?.loaded();
    // Each layer by itself, when there is time.
    const times = await remote.layerTimes(before || !size() ? zeros() : await drawn(), 5);
    times.forEach((time, index) => {
        const layer = layers[loaded.inputShapes.length + index];
        fact(layer, "Time", time < .1 ? `${(time * 1000).toFixed(1)} µs` : `${time.toFixed(2)} ms`);
    });
}

/** The input that the page came with, or an empty pad. */
function begun() {
    if (!part("sample") || !size()) {
        return size() ? drawn : zeros;
    }
    const given = new Float32Array(decoded("sample").buffer);
    const { maps, width, height } = layers[0];
    const [shape] = loaded.inputShapes;
    const first = shape[1] === maps && shape[3] !== maps;
    const values = first ? given.map((_, i) => given[i % (width * height) * maps + Math.floor(i / (width * height))]) : given;
    const dims = first ? [1, maps, height, width] : [1, height, width, maps];
    const sample = async () => {
        wipe();
        // As the model sees it.
        const [least, most] = [Math.min(...given), Math.max(...given)];
        const level = (i) => (given[i] - least) / (most > least ? most - least : 1) * 255;
        const picture = new ImageData(width, height);
        for (let i = 0; i < width * height; i++) {
            const at = (channel) => level(i * maps + Math.min(channel, maps - 1));
            picture.data.set([at(0), at(maps < 3 ? 0 : 1), at(maps < 3 ? 0 : 2), 255], 4 * i);
        }
        ink.imageSmoothingEnabled = false;
        ink.drawImage(await createImageBitmap(picture), 0, 0, pad.width, pad.height);
        return [{ shape: dims, values }];
    };
    const button = document.getElementById("sample");
    button.hidden = false;
    button.onclick = () => {
        cameraOff();
        see(sample);
    };
    return sample;
}

// What a layer has beside its maps: its weights, and how one of its values comes about.

/** Adds both to the layers that have them. */
function furnish() {
    loaded.layers.forEach((description, index) => {
        const layer = layers[loaded.inputShapes.length + index];
        // `redraw` is made of the fold, and shows the weights as they are then.
        const fold = (kind, title, redraw) => {
            const [details, summary, within] = ["details", "summary", "div"].map((tag) => document.createElement(tag));
            details.className = kind;
            summary.textContent = title;
            details.append(summary, within);
            details.redraw = redraw(within, details);
            details.addEventListener("toggle", () => details.open && details.redraw().catch(problem));
            layer.item.querySelector(".about").append(details);
        };
        if (/^(Depthwise)?Conv2D$|^Dense$|^BatchNormalization$/.test(description.class)) {
            fold("weights", "Weights", (within) => () => weights(within, description.name));
        }
        if (/^(Depthwise)?Conv2D$|^(Max|Average)Pooling2D$/.test(description.class)
            && description.config?.data_format !== "channels_first") {
            fold("sum", "How a value comes about", (within, details) => arithmetic(within, details, layer, description));
        }
    });
}

/** Has everything that is open show the weights as they are now. */
async function refresh() {
    for (const details of document.querySelectorAll(".about details[open]")) {
        await details.redraw();
    }
    if (current) {
        await see(current);
    }
}

/** Draws a layer's weights: a kernel as pictures, one for each of its filters and channels, and all as a histogram. */
async function weights(within, name) {
    const drawn = [];
    for (const { name: weight, values, shape } of await remote.layerWeights(name)) {
        const [least, most] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
        const [height, width] = shape.length === 4 ? shape : [1, 1];
        const tiles = Math.min(values.length / (height * width), 256);
        const columns = Math.ceil(Math.sqrt(tiles));
        const canvas = document.createElement("canvas");
        canvas.width = columns * (width + 1) - 1;
        canvas.height = Math.ceil(tiles / columns) * (height + 1) - 1;
        canvas.style.width = `${Math.min(240, canvas.width * 8)}px`;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `${weight} of ${name}, ${shape.join(" × ")}, from ${short(least)} to ${short(most)}`);
        const context = canvas.getContext("2d");
        const reach = Math.max(Math.abs(least), Math.abs(most)) || 1;
        const each = values.length / (height * width);
        for (let tile = 0; tile < tiles; tile++) {
            for (let tap = 0; tap < height * width; tap++) {
                const part = values[tap * each + tile] / reach;
                // Blue below zero, orange above.
                context.fillStyle = part < 0 ? `rgb(60 130 255 / ${-part})` : `rgb(255 140 0 / ${part})`;
                context.fillRect(tile % columns * (width + 1) + tap % width,
                    Math.floor(tile / columns) * (height + 1) + Math.floor(tap / width), 1, 1);
            }
        }
        const caption = document.createElement("p");
        caption.textContent = `${weight}, ${shape.join(" × ")}: ${short(least)} to ${short(most)}, blue below zero, orange above`;
        drawn.push(caption, canvas, histogram(values, least, most, `Histogram of ${weight} of ${name}`));
    }
    within.replaceChildren(...drawn);
}

function histogram(values, least, most, title) {
    const bins = new Array(24).fill(0);
    values.forEach((value) => {
        bins[Math.min(23, Math.floor((value - least) / (most > least ? most - least : 1) * 24))] += 1;
    });
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: 24 * 8, height: 40 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", title);
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(document.body).getPropertyValue("--edge");
    const highest = Math.max(...bins);
    bins.forEach((bin, index) => context.fillRect(index * 8, 40 - bin / highest * 40, 7, bin / highest * 40));
    return canvas;
}

const pair = (value, otherwise) => Array.isArray(value) ? value : [value ?? otherwise, value ?? otherwise];

/**
 * What one value of a layer is made of: of each tap of the window, where it lies and what it adds. `input` and `output` are
 * arrays without a batch, channels last.
 */
function terms({ class: kind, config }, kernel, bias, input, output, map, row, column) {
    const pooled = kind.endsWith("Pooling2D");
    const window = pooled ? pair(config.pool_size, 2) : pair(config.kernel_size, 1);
    const strides = pooled ? pair(config.strides ?? config.pool_size, 2) : pair(config.strides, 1);
    const dilation = pair(config.dilation_rate, 1);
    const [height, width, channels] = input.shape;
    const before = [height, width].map((extent, axis) => {
        const reach = (window[axis] - 1) * dilation[axis] + 1;
        const made = Math.ceil(extent / strides[axis]);
        return config.padding === "same" ? Math.floor(Math.max((made - 1) * strides[axis] + reach - extent, 0) / 2) : 0;
    });
    const multiplier = kind === "DepthwiseConv2D" ? output.shape[2] / channels : 1;
    const groups = config.groups ?? 1;
    const read = kind === "Conv2D"
        ? Array.from({ length: channels / groups }, (_, i) => Math.floor(map / (output.shape[2] / groups)) * channels / groups + i)
        : [Math.floor(map / multiplier)];
    const taps = [];
    for (let i = 0; i < window[0]; i++) {
        for (let j = 0; j < window[1]; j++) {
            const [y, x] = [row * strides[0] - before[0] + i * dilation[0], column * strides[1] - before[1] + j * dilation[1]];
            const inside = y >= 0 && x >= 0 && y < height && x < width;
            const products = inside ? read.map((channel, at) => {
                const value = input.values[(y * width + x) * channels + channel];
                const weight = pooled ? 1 : kind === "Conv2D"
                    ? kernel.values[((i * window[1] + j) * kernel.shape[2] + at) * kernel.shape[3] + map]
                    : kernel.values[((i * window[1] + j) * channels + channel) * multiplier + map % multiplier];
                return { value, weight };
            }) : [];
            taps.push({ inside, products, sum: products.reduce((sum, { value, weight }) => sum + value * weight, 0) });
        }
    }
    const inner = taps.filter(({ inside }) => inside);
    const sum = kind === "MaxPooling2D" ? Math.max(...inner.map((tap) => tap.sum))
        : inner.reduce((sum, tap) => sum + tap.sum, 0) / (kind === "AveragePooling2D" ? inner.length : 1);
    const added = bias?.values[map] ?? 0;
    return { window, taps, sum, added, total: sum + added, channels: read.length,
        shown: output.values[(row * output.shape[1] + column) * output.shape[2] + map] };
}

/**
 * Lets one choose a value of a layer, and shows what it is made of; it follows what the model sees. What it gives reads the weights
 * anew.
 */
function arithmetic(within, details, layer, description) {
    let [kernel, bias] = [];
    const bounds = { Map: layer.maps, Row: layer.height, Column: layer.width };
    const [choice, result] = ["div", "div"].map((tag) => document.createElement(tag));
    result.className = "over";
    const inputs = Object.entries(bounds).map(([name, count]) => {
        const [label, input] = ["label", "input"].map((tag) => document.createElement(tag));
        Object.assign(input, { type: "number", min: 0, max: count - 1, value: name === "Map" ? 0 : Math.floor(count / 2) });
        input.addEventListener("input", () => sum());
        label.append(name, input);
        choice.append(label);
        return input;
    });
    const sum = () => {
        if (!details.open || !shown[layer.place]) {
            return;
        }
        const at = inputs.map((input) => Math.max(0, Math.min(Number(input.max), Math.floor(Number(input.value)) || 0)));
        const found = terms(description, kernel, bias, shown[layer.inputs[0]], shown[layer.place], ...at);
        layer.found = found;
        const table = document.createElement("table");
        for (let i = 0; i < found.window[0]; i++) {
            const row = table.insertRow();
            for (let j = 0; j < found.window[1]; j++) {
                const { inside, products, sum } = found.taps[i * found.window[1] + j];
                const [{ value, weight } = {}] = products;
                row.insertCell().textContent = !inside ? "outside"
                    : !kernel ? short(value) : products.length === 1 ? `${short(value)} · ${short(weight)}` : short(sum);
            }
        }
        const words = document.createElement("p");
        const what = { MaxPooling2D: "The greatest is", AveragePooling2D: "The mean is" }[description.class] ?? "The sum is";
        const name = description.config.activation;
        const activation = name && name !== "linear" ? `; ${typeof name === "string" ? name : "activated"}, ${short(found.shown)}` : "";
        words.textContent = `${kernel ? found.channels === 1 ? "Input · weight of each place of the window. "
            : `Of each place, the sum of ${found.channels} products. ` : "Each place of the window. "}${what} ${short(found.sum)}${
            bias ? `, with bias ${short(found.added)}: ${short(found.total)}` : ""}${activation}.`;
        result.replaceChildren(table, words);
    };
    const chosen = (event) => {
        const map = layer.chosen ?? 0;
        const [x, y] = layer.single ? [0, 0] : layer.corner(map);
        const place = (at, count) => Math.max(0, Math.min(count - 1, Math.floor(at / layer.scale)));
        inputs[0].value = map;
        inputs[1].value = place(event.offsetY - y, layer.height);
        inputs[2].value = place(event.offsetX - x, layer.width);
        sum();
    };
    (layer.canvas ?? layer.image).addEventListener("click", chosen);
    within.append(choice, result);
    return async () => {
        const weights = description.class.includes("Conv2D") ? await remote.layerWeights(description.name) : [];
        kernel = weights.find(({ name }) => name.endsWith("kernel"));
        bias = weights.find(({ name }) => name === "bias");
        layer.sum = sum;
        sum();
    };
}

/**
 * A worker of the page's own text, for this `kind` of work. A page from a file may start one where that imports nothing and is no
 * module: the glue stands in it, which has these names.
 */
function held(kind, glue, names) {
    const library = text(glue).replace(/^export \{.*$/m, "").replace(/^export /gm, "").replaceAll("import.meta.url", "location.href");
    const libraries = `const libraries = { ${kind}: () => ({ default: __wbg_init, ${names} }) };`;
    const own = `${library}\n${text("worker").replace(/^const libraries = .*$/m, libraries)}`;
    return new Worker(URL.createObjectURL(new Blob([own], { type: "text/javascript" })));
}

/** The bytes of a file beside the page. */
async function fetched(what, file) {
    const answer = await fetch(file);
    if (!answer.ok) {
        throw new Error(`the ${what} must lie beside the page as ${file}; the server answered ${answer.status}`);
    }
    return new Uint8Array(await answer.arrayBuffer());
}

// The beginning.
(async () => {
    wipe();
    const start = performance.now();
    try {
        if (part("beside") && location.protocol === "file:") {
            throw new Error("this page reads files beside it, which a browser does from a server alone: serve the folder, for instance "
                + "by python3 -m http.server, and open it there");
        }
        let bytes;
        if (part("beside")) {
            // The model's file is named after the worker's, and after that the samples', if there are some.
            const [worker, file, samples] = part("beside").textContent.split(" ");
            const start = () => new Worker(worker, { type: "module" });
            remote = await RemoteModel.open(start(), undefined, () => ({ worker: start() }));
            bytes = await fetched("model", file);
            if (samples) {
                learning?.given(() => fetched("file of samples", samples), samples);
            }
        } else {
            remote = await RemoteModel.open(held("run", "glue", "Gpu, Model"), decoded("module"),
                () => ({ worker: held("train", "train-glue", "Gpu, Model, readArrays"), wasm: decoded("train-module") }));
            bytes = decoded("file");
            if (part("samples")) {
                learning?.given(async () => decoded("samples"), "the page");
            }
        }
        await load(bytes, document.title);
        window.began = performance.now() - start;
    } catch (error) {
        problem(error);
    }
})();
