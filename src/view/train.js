// How a model learns on the page: the samples, the training in a worker, its curves, and kernels as they change.

/** The names that arrays go by, inputs and then targets: those to learn from, and those to measure by. */
const TRAINED = [["x_train", "x", "images", "inputs", "input_0"], ["y_train", "y", "labels", "targets", "target"]];
const MEASURED = [["x_val", "x_test"], ["y_val", "y_test"]];
/** Samples of a step. */
const BATCH = 32;

/** An element of SVG. */
function drawing(tag, attributes, text = "") {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    element.textContent = text;
    return element;
}

/** A picture of a number over `epochs`: lists of the epochs gone by with the numbers that they came to. */
function chart(name, epochs, trained, validated) {
    const [width, height, left, right, top, below] = [360, 200, 52, 10, 10, 24];
    const values = [...trained, ...validated].map(([, value]) => value).filter(Number.isFinite);
    let [least, most] = [Math.min(...values), Math.max(...values)];
    if (least === most) {
        [least, most] = [least - .5, most + .5];
    }
    const across = (epoch) => left + epoch / epochs * (width - left - right);
    const down = (value) => top + (most - value) / (most - least) * (height - top - below);
    const now = (list) => list.length > 0 ? short(list.at(-1)[1]) : "nothing yet";
    const told = `${name} by epoch, from ${short(least)} to ${short(most)}; now ${now(trained)}${
        validated.length > 0 ? `, of validation ${now(validated)}` : ""}`;
    const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told });
    for (let part = 0; part <= 4; part++) {
        const value = least + (most - least) * part / 4;
        const y = down(value);
        svg.append(drawing("line", { class: "grid", x1: left, x2: width - right, y1: y, y2: y }),
            drawing("text", { class: "value", x: left - 5, y: y + 4 }, short(value)));
    }
    svg.append(drawing("text", { x: left, y: height - 6 }, "epoch 0"),
        drawing("text", { class: "value", x: width - right, y: height - 6 }, `epoch ${epochs}`));
    for (const [kind, list] of Object.entries({ trained, validated })) {
        const points = list.filter(([, value]) => Number.isFinite(value)).map(([epoch, value]) => [across(epoch), down(value)]);
        svg.append(drawing("polyline", { class: kind, points: points.map((point) => point.join()).join(" ") }),
            ...points.map(([cx, cy]) => drawing("circle", { class: kind, cx, cy, r: 2.5 })));
    }
    const [figure, title, caption] = ["figure", "h3", "figcaption"].map((tag) => document.createElement(tag));
    figure.className = "curve";
    title.textContent = name;
    for (const [kind, words] of Object.entries(validated.length > 0 ? { trained: name, validated: `val_${name}` } : {})) {
        const key = document.createElement("span");
        key.className = `key ${kind}`;
        caption.append(key, words);
    }
    figure.append(title, svg, caption);
    return figure;
}

/** The part of the page that trains its model. */
class Learning {
    constructor() {
        for (const id of ["learn", "epochs", "rate", "anew", "samples", "keep", "share", "learned", "curves", "filters"]) {
            this[id] = document.getElementById(id);
        }
        this.learn.addEventListener("click", () => (this.going ? this.stop() : this.begin()));
        this.samples.addEventListener("change", (event) => event.target.files.length && take(event.target.files[0]));
        this.keep.addEventListener("click", () => this.save().catch((error) => this.say(error.message, true)));
    }

    say(words, wrong = false) {
        this.learned.textContent = words;
        this.learned.classList.toggle("wrong", wrong);
    }

    /** Another model is there, which has learned nothing yet. */
    loaded() {
        this.curves.replaceChildren();
        this.filters.replaceChildren();
        this.share.value = 0;
        this.keep.disabled = false;
        this.ready();
    }

    /** Has samples to learn from, which `read` gives the bytes of. */
    given(read, name) {
        Object.assign(this, { read, name, arrays: null });
        this.ready();
    }

    ready() {
        this.learn.disabled = !this.read || !loaded;
        this.say(this.read ? `The samples are those of ${this.name}. Press Train.`
            : "Drop a file of samples on the page: .npz, with arrays called x and y, or x_train, y_train, x_test and y_test.");
    }

    /** The samples by the names above, as `[inputs, targets]`; nothing where there are none to measure by. */
    async parted() {
        this.arrays ??= await remote.readArrays(await this.read());
        const of = (names) => names.map((some) => some.map((name) => this.arrays.find((array) => array.name === name)).find(Boolean));
        const [trained, measured] = [of(TRAINED), of(MEASURED)];
        if (!trained.every(Boolean)) {
            throw new Error(`there must be arrays of inputs and of targets, called ${TRAINED.map((names) => names.join(", ")).join(" and ")
                }; ${this.name} has ${this.arrays.map(({ name, shape }) => `${name} (${shape.join(", ")})`).join(", ")}`);
        }
        return [trained, measured.every(Boolean) ? measured : null];
    }

    /** The loss that suits classes, where the targets are some; else the one that the model's file says. */
    loss(y) {
        const [output] = loaded.outputShapes;
        const classes = output.at(-1);
        const each = y.shape.length > 1 && y.shape.at(-1) === classes;
        if (output.length !== 2 || classes < 2 || !y.values.every((value) => Number.isInteger(value) && value >= 0)) {
            return {};
        }
        const last = loaded.layers.filter(({ class: kind }) => !/^(Dropout|Flatten|Reshape|Identity)$/.test(kind)).at(-1);
        const softmax = last.class === "Softmax" || last.config?.activation === "softmax";
        const name = each ? "CategoricalCrossentropy" : "SparseCategoricalCrossentropy";
        return { loss: { class_name: name, config: { from_logits: !softmax } }, metrics: ["accuracy"] };
    }

    /** Trains, and shows how that goes. */
    async begin() {
        const epochs = Math.max(1, Math.floor(Number(this.epochs.value)) || 1);
        this.going = true;
        this.learn.textContent = "Stop";
        this.keep.disabled = true;
        const done = [];
        try {
            this.say("Getting ready.");
            const [[x, y], measured] = await this.parted();
            if (this.anew.checked) {
                await remote.initialize(Math.floor(Math.random() * 2 ** 32));
            }
            await this.show(epochs, done, null);
            const steps = Math.ceil((measured ? x.shape[0] : Math.floor(x.shape[0] * .8)) / BATCH);
            const validation = measured ? { validationData: { x: measured[0], y: measured[1] } } : { validationSplit: .2 };
            if (this.going) {
                await remote.fit(x, y, {
                    ...this.loss(y), ...validation, epochs, batchSize: BATCH, optimizer: "adam", learningRate: Number(this.rate.value),
                    onBatch: (batch, logs) => this.step(epochs, done, (batch + 1) / steps, logs),
                    onEpoch: (epoch, logs) => {
                        done[epoch] = logs;
                        const words = Object.entries(logs).map(([name, value]) => `${name} ${short(value)}`).join(", ");
                        this.say(`Epoch ${epoch + 1} of ${epochs}: ${words}`);
                        this.show(epochs, done, null).catch((error) => this.say(error.message, true));
                    },
                });
            }
            this.say(`${done.length < epochs ? "Stopped" : "Done"}. ${this.learned.textContent}`);
        } catch (error) {
            this.say(error.message, true);
        }
        this.going = false;
        this.learn.textContent = "Train";
        this.keep.disabled = false;
        window.trainings = (window.trainings ?? 0) + 1;
    }

    /** Ends the training that goes on. */
    async stop() {
        if (this.going) {
            this.going = false;
            await remote.stopTraining();
        }
    }

    /** Shows what an epoch has come to until now, of which a `part` is done, in the next frame. */
    step(epochs, done, part, logs) {
        this.share.value = (done.length + part) / epochs;
        if (!this.frame) {
            this.frame = requestAnimationFrame(() => {
                this.frame = null;
                this.draw(epochs, done, [done.length + part, logs]);
            });
        }
    }

    /** Shows what epochs came to, and the model as it is now. */
    async show(epochs, done, part) {
        this.share.value = done.length / epochs;
        this.draw(epochs, done, part);
        const layer = loaded.layers.find(({ class: kind }) => /^(Depthwise|Separable)?Conv2D$/.test(kind));
        if (layer) {
            const title = document.createElement("h3");
            title.textContent = `Kernels of ${layer.name}`;
            const pictures = document.createElement("div");
            await weights(pictures, layer.name);
            this.filters.replaceChildren(title, pictures);
        }
        await refresh();
    }

    draw(epochs, done, part) {
        const names = Object.keys(done[0] ?? part?.[1] ?? {}).filter((name) => !name.startsWith("val_"));
        const of = (name) => done.flatMap((logs, epoch) => name in logs ? [[epoch + 1, logs[name]]] : []);
        this.curves.replaceChildren(...names.map((name) => {
            const trained = of(name);
            if (part && part[0] > done.length) {
                trained.push([part[0], part[1][name]]);
            }
            return chart(name, epochs, trained, of(`val_${name}`));
        }));
    }

    /** Has the browser save the model as it is now. */
    async save() {
        const file = new Blob([await remote.save()], { type: "application/octet-stream" });
        const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: `${loaded.name}.keras` });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
    }
}

