// What tests/web_page.py has a browser do with the package: Keras's numbers, as tests/conformance.rs checks them natively, and
// each part of the interface. Each check is a line that `say` keeps; what is wrong throws.
import { Gpu, Layer, Model, RemoteModel, init, inspect } from "/package/index.js";

const lines = [];
const say = (line) => lines.push(line);

function hold(condition, text) {
    if (!condition) {
        throw new Error(text);
    }
}

async function bytes(path, root = "conformance") {
    const answer = await fetch(`/${root}/${path}`);
    hold(answer.ok, `there is no ${path}`);
    return new Uint8Array(await answer.arrayBuffer());
}

const json = async (path, root) => JSON.parse(new TextDecoder().decode(await bytes(path, root)));

/** The tensors of a .safetensors file, by key: `{ values, shape }`. */
async function tensors(path) {
    const file = await bytes(path);
    const length = Number(new DataView(file.buffer).getBigUint64(0, true));
    const kinds = { F32: Float32Array, F64: Float64Array, I32: Int32Array, U8: Uint8Array };
    const found = new Map();
    for (const [key, { dtype, shape, data_offsets: [from, to] }] of Object.entries(
        JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))))) {
        if (key === "__metadata__") {
            continue;
        }
        hold(kinds[dtype], `${path}: ${key} has dtype ${dtype}`);
        found.set(key, { values: new kinds[dtype](file.slice(8 + length + from, 8 + length + to).buffer), shape });
    }
    return found;
}

const f32 = ({ values, shape }) => ({ values: Float32Array.from(values), shape });

/** The largest difference in units of the golden's largest value, at least 0.05, as `dev` in tests/common/fixtures.rs. */
function dev(got, golden) {
    hold(got.length === golden.length, `${got.length} elements, Keras has ${golden.length}`);
    let [largest, difference] = [.05, 0];
    golden.forEach((value, i) => {
        if (Number.isFinite(value)) {
            largest = Math.max(largest, Math.abs(value));
        }
        if (got[i] !== value && !(Number.isNaN(got[i]) && Number.isNaN(value))) {
            const apart = Math.abs(got[i] - value);
            difference = Math.max(difference, Number.isNaN(apart) ? Infinity : apart);
        }
    });
    return difference / largest;
}

/** The limits of tests/common/tolerance.rs: of a layer in f32, and of a model. */
const [FORWARD, MODEL] = [1e-5, 1e-4];

/** The projection on the simplex along `axis`; Keras's sparsemax is another function unless one element takes all. */
function sparsemax({ values, shape }, axis) {
    const at = axis < 0 ? axis + shape.length : axis;
    const inner = shape.slice(at + 1).reduce((a, b) => a * b, 1);
    const made = new Float64Array(values.length);
    for (let start = 0; start < values.length; start++) {
        if (Math.floor(start / inner) % shape[at] !== 0) {
            continue;
        }
        const places = Array.from({ length: shape[at] }, (_, i) => start + i * inner);
        const sorted = places.map((place) => values[place]).sort((a, b) => b - a);
        let [sum, threshold] = [0, 0];
        sorted.forEach((value, i) => {
            sum += value;
            if (1 + (i + 1) * value > sum) {
                threshold = (sum - 1) / (i + 1);
            }
        });
        places.forEach((place) => { made[place] = Math.max(values[place] - threshold, 0); });
    }
    return made;
}

class Skip extends Error {}

/** Runs each case and keeps the line of the suite, in the words of the native harness. */
async function suite(name, cases, check) {
    let passed = 0;
    const [failed, skipped] = [[], new Map()];
    for (const one of cases) {
        try {
            await check(one);
            passed += 1;
        } catch (error) {
            if (error instanceof Skip) {
                skipped.set(error.message, (skipped.get(error.message) ?? 0) + 1);
            } else {
                failed.push(`  ${one.id}: ${error.message}`);
            }
        }
    }
    const reasons = [...skipped].map(([reason, count]) => `${count} ${reason}`).join(", ");
    const count = [...skipped.values()].reduce((a, b) => a + b, 0);
    const line = `${name}: ${passed} passed, ${failed.length} failed, ${count} skipped${reasons && ` (${reasons})`}`;
    say(line);
    hold(failed.length === 0 && passed > 0, [line, ...failed.slice(0, 20)].join("\n"));
}

async function made(gpu, kind, config, x, weights) {
    const layer = Layer.fromConfig(gpu, kind, JSON.stringify(config), x.map(({ shape }) => shape));
    try {
        if (weights.length > 0) {
            layer.setWeights(weights.map(f32));
        }
        return await layer.call(x.map(f32));
    } finally {
        layer.free();
    }
}

function compare({ values, shape }, y, limit) {
    hold(shape.join() === y.shape.join(), `shape ${shape}, Keras has ${y.shape}`);
    const apart = dev(values, y.values);
    hold(apart <= limit, `dev ${apart.toExponential(3)} above ${limit}`);
}

async function layers(gpu, name) {
    const [{ cases }, held] = [await json(`keras/layers/${name}.json`), await tensors(`keras/layers/${name}.safetensors`)];
    await suite(name, cases, async ({ class: kind, config, x, weights, y }) => {
        const inputs = x.map((key) => held.get(key));
        let golden = held.get(y);
        if (config.activation === "sparsemax") {
            if (kind !== "Activation") {
                throw new Skip("sparsemax behind a convolution, which the reference computes natively");
            }
            golden = { ...golden, values: sparsemax(inputs[0], -1) };
        }
        compare(await made(gpu, kind, config, inputs, weights.map(({ key }) => held.get(key))), golden, FORWARD);
    });
}

/** The layer of Keras that takes an activation's arguments. */
const WITH_ARGUMENTS = { relu: "ReLU", leaky_relu: "LeakyReLU", elu: "ELU", softmax: "Softmax" };

async function activations(gpu) {
    const held = await tensors("keras/functions/activations.safetensors");
    await suite("activations", (await json("keras/functions/activations.json")).cases, async ({ name, args, x, y }) => {
        const plain = Object.keys(args).length === 0;
        if (!plain && !WITH_ARGUMENTS[name]) {
            throw new Skip("with arguments that no layer of Keras's takes");
        }
        let golden = held.get(y);
        if (name === "sparsemax") {
            golden = { ...golden, values: sparsemax(held.get(x), -1) };
        }
        const [kind, config] = plain ? ["Activation", { activation: name }] : [WITH_ARGUMENTS[name], args];
        compare(await made(gpu, kind, config, [held.get(x)], []), golden, FORWARD);
    });
}

const SUITES = ["conv2d", "conv2d_big", "pointwise", "depthwise2d", "depthwise2d_big", "separable2d", "conv2d_transpose",
    "stride_and_dilation", "pool2d"];

async function refusal(text, call) {
    let message = "nothing was refused";
    try {
        await call();
    } catch (error) {
        message = String(error.message);
    }
    hold(message.includes(text), `${JSON.stringify(text)} in ${JSON.stringify(message)}`);
}

const best = (scores) => scores.indexOf(Math.max(...scores));

async function digits(gpu) {
    const file = await bytes("models/digits/model.keras");
    const expected = await tensors("models/digits/expected.safetensors");
    const [x, y, labels] = ["input_0", "output_0", "keras_pred"].map((key) => expected.get(key));
    for (const [name, contents] of [["model.keras", file], ["model.onnx", await bytes("models/digits/model.onnx")],
        ["model_legacy.h5", await bytes("models/digits/model_legacy.h5")]]) {
        hold(inspect(contents).obstacles.length === 0, `obstacles in ${name}`);
        const model = Model.fromBytes(gpu, contents);
        const output = await model.predict(x.values, x.shape);
        compare(output, y, MODEL);
        const rows = Array.from(labels.values, (label, row) => best([...output.values.subarray(10 * row, 10 * row + 10)]) === label);
        hold(rows.every(Boolean), `${rows.filter((right) => !right).length} of ${rows.length} unlike Keras`);
        say(`${name}: ${rows.length} digits classified as Keras does`);
        model.free();
    }

    const model = Model.fromBytes(gpu, file);
    hold(model.name === "digits_dscnn" && model.parameters === 9466, `${model.name} ${model.parameters}`);
    hold(JSON.stringify(model.inputShapes) === "[[null,8,8,1]]", JSON.stringify(model.inputShapes));
    hold(model.summary().includes("9,466"), model.summary());
    const { layers, format } = inspect(file);
    hold(format === "a Keras model" && layers.some((it) => it.name === "stem" && it.class === "Conv2D"), "what inspect tells");

    const first = { values: x.values.slice(0, 64), shape: [1, 8, 8, 1] };
    const [told] = await model.predictAll([first]);
    compare(told, { values: y.values.subarray(0, 10), shape: [1, 10] }, MODEL);
    const outputs = await model.layerOutputs([first]);
    const recorded = await json("models/digits/layers.json");
    for (const { layer, first8 } of recorded) {
        const output = outputs.find(({ name }) => name === layer);
        hold(output, `no output of ${layer}`);
        const apart = dev(output.values.subarray(0, 8), first8);
        hold(apart <= MODEL, `${layer}: dev ${apart}`);
    }
    say(`the outputs of ${recorded.length} layers are Keras's`);

    const described = model.layers();
    hold(described.length + 1 === outputs.length, `${described.length} layers, ${outputs.length} outputs`);
    const times = await model.layerTimes([first], 2);
    hold(times.length === described.length && times.every((time) => time >= 0), `times ${times}`);
    const [kernel] = await model.layerWeights("stem");
    hold(kernel.name === "kernel" && kernel.shape.join() === "3,3,1,16" && kernel.values.length === 144, JSON.stringify(kernel));
    const grey = model.pixels(8, 8, new Uint8Array(256).fill(51));
    hold(grey.shape.join() === "1,8,8,1" && grey.values.every((value) => Math.abs(value - .2) < 1e-6), `pixels ${grey.values[0]}`);

    await refusal("layer stem: axis -1", () => model.predict(new Float32Array(27), [1, 3, 3, 3]));
    await refusal("as many elements", () => model.predict(new Float32Array(3), [1, 8, 8, 1]));
    await refusal("whole numbers", () => model.predict(new Float32Array(64), [1, 8, -8, 1]));
    await refusal("{ values: Float32Array, shape: number[] }", () => model.predictAll([{ values: [1], shape: [1] }]));
    await refusal("the size of the model's input", () => model.pixels(4, 4, new Uint8Array(64)));
    await refusal("stem", () => model.layerWeights("steam"));
    await refusal("model file", () => Model.fromBytes(gpu, new TextEncoder().encode("nothing of the kind")));
    await refusal("filters", () => Layer.fromConfig(gpu, "Conv2D", "{}", [[1, 8, 8, 1]]));
    say("what is wrong is refused with its rule");
    model.free();
    return { file, first, golden: { values: y.values.slice(0, 10), shape: [1, 10] } };
}

async function remote({ file, first, golden }) {
    const start = performance.now();
    const model = await RemoteModel.open();
    await refusal("a model must be loaded first", () => model.summary());
    const { name, inputShapes, layers } = await model.load(file);
    hold(name === "digits_dscnn" && inputShapes[0].length === 4 && layers.length > 10, "what load tells");
    compare(await model.predict(first.values, first.shape), golden, MODEL);
    const opened = performance.now() - start;
    const times = [];
    for (let run = 0; run < 20; run++) {
        const start = performance.now();
        await model.predict(first.values, first.shape);
        times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    hold((await model.layerOutputs([first])).length === layers.length + 1, "layer outputs");
    hold((await model.summary()).includes("9,466"), "summary");
    await refusal("received", () => model.predict(new Float32Array(3), [1, 8, 8, 1]));
    model.close();
    say(`in a worker: first result after ${opened.toFixed()} ms, then ${times[10].toFixed(1)} ms`);
}

/** The first `count` samples of an array, or those from `from` on. */
const some = ({ values, shape: [all, ...each] }, count, from = 0) => {
    const size = each.reduce((a, b) => a * b, 1);
    return { values: values.slice(from * size, (from + count) * size), shape: [Math.min(count, all - from), ...each] };
};

/** The limit of what some steps of training come to, as natively where Keras computes by another backend. */
const TRAINED = 2e-4;

/** The first steps of a model of Keras's are Keras's: what tests/fixtures/training/web.py has written. */
async function asKeras(model, arrays) {
    const expected = await json("web.json", "training");
    await model.load(await bytes("web.keras", "training"));
    const count = expected.batch * expected.steps.length;
    const [x, y] = [some(arrays.get("x_train"), count), some(arrays.get("y_train"), count)];
    const before = await model.layerWeights("stem");
    const told = [];
    const { epoch, history } = await model.fit(x, y, {
        batchSize: expected.batch, shuffle: false,
        onBatch: (batch, logs) => { told[batch] = logs; },
        onEpoch: (number, logs) => { told.epoch = [number, logs]; },
    });
    hold(told.length === expected.steps.length, `${told.length} steps told of`);
    expected.steps.forEach((logs, step) => Object.entries(logs).forEach(([name, value]) => {
        const apart = Math.abs(told[step][name] - value) / Math.max(Math.abs(value), .05);
        hold(apart <= TRAINED, `step ${step}: ${name} ${told[step][name]}, Keras has ${value}`);
    }));
    hold(epoch.join() === "0" && told.epoch[0] === 0, `epochs ${epoch}, told of ${told.epoch[0]}`);
    hold(history.loss[0] === told.epoch[1].loss && history.loss[0] === told.at(-1).loss, JSON.stringify(history));

    const [kernel] = await model.layerWeights("stem");
    hold(dev(kernel.values, before[0].values) > .01, "the kernel is as it was");
    const apart = dev(kernel.values, expected.stem);
    hold(apart <= TRAINED, `the trained kernel: dev ${apart}`);
    const scores = await model.predict(some(x, 1).values, [1, 8, 8, 1]);
    hold(dev(scores.values, expected.scores) <= TRAINED, `scores ${scores.values}, Keras has ${expected.scores}`);
    say(`${told.length} steps of training are Keras's: loss ${told[0].loss.toFixed(4)} to ${told.at(-1).loss.toFixed(4)}`);

    // The file has them, too; and weights of another number are refused.
    const saved = await model.save();
    const other = await RemoteModel.open();
    await other.load(saved);
    const again = await other.predict(some(x, 1).values, [1, 8, 8, 1]);
    hold(dev(again.values, scores.values) <= 1e-6, "the saved model gives other scores");
    await refusal("weights must be given for stem/kernel", () => other.ask("setWeights", []));
    other.close();

    await refusal("options must be some of optimizer", () => model.fit(x, y, { epoch: 3 }));
    await refusal("batchSize must be a whole number", () => model.fit(x, y, { batchSize: "many" }));
    await refusal("batch_size", () => model.fit(x, y, { batchSize: 0 }));
    await refusal("same number of samples", () => model.fit(x, some(y, 3)));
    await refusal("a loss of my own", () => model.fit(x, y, { onBatch() { throw new Error("a loss of my own"); } }));
    await refusal("hinge", () => model.fit(x, y, { loss: "hinges" }));
    say("what is wrong with a training is refused with its rule");
}

/** From random weights to most of the digits that it was not trained on. */
async function learning(model, arrays) {
    await model.load(await bytes("models/digits/model.keras"));
    const [x, y, ...held] = ["x_train", "y_train", "x_test", "y_test"].map((name) => arrays.get(name));
    await model.initialize(1);
    const [first] = await model.layerWeights("stem");
    const untrained = await model.evaluate(...held);
    hold(untrained.accuracy < .4, `random weights classify ${untrained.accuracy}`);
    const kernels = [first.values];
    const accuracies = [];
    const start = performance.now();
    await model.fit(x, y, {
        epochs: 40, learningRate: .01, seed: 1, validationData: { x: held[0], y: held[1] },
        async onEpoch(epoch, { val_accuracy: accuracy }) {
            accuracies.push(accuracy);
            // What the page would draw.
            kernels.push((await model.layerWeights("stem"))[0].values);
        },
        onBatch: () => accuracies.at(-1) > .9 || accuracies.length === 12 ? false : undefined,
    });
    const seconds = (performance.now() - start) / 1000;
    hold(accuracies.length < 40, "a training that is stopped goes on");
    hold(kernels.every((kernel, i) => i === 0 || dev(kernel, kernels[i - 1]) > 1e-3), "the kernels of two epochs are the same");
    const trained = await model.evaluate(...held);
    hold(trained.accuracy > .9, `${trained.accuracy} of the digits after ${accuracies.length} epochs: ${accuracies}`);
    const scores = await model.predict(held[0].values, held[0].shape);
    const right = [...held[1].values].filter((label, row) => best([...scores.values.subarray(10 * row, 10 * row + 10)]) === label);
    hold(Math.abs(right.length / held[1].values.length - trained.accuracy) < 1e-6, `predicted ${right.length}, measured ${trained.accuracy}`);
    say(`from random weights ${(100 * trained.accuracy).toFixed(1)} % of 360 digits are right after ${accuracies.length} epochs in ${
        seconds.toFixed(1)} s`);
}

async function training() {
    const model = await RemoteModel.open();
    await refusal("a model must be loaded first", () => model.fit([], []));
    const arrays = new Map((await model.readArrays(await bytes("digits.npz", "examples"))).map((array) => [array.name, array]));
    hold(arrays.get("x_train").shape.join() === "1437,8,8,1" && arrays.get("y_test").values.length === 360, [...arrays.keys()].join());
    await asKeras(model, arrays);
    await learning(model, arrays);
    await model.load(await bytes("models/digits/model.onnx"));
    await refusal("ONNX", () => model.fit([], []));
    model.close();
}

async function withoutWebgpu() {
    Object.defineProperty(navigator, "gpu", { value: undefined, configurable: true });
    await refusal("chrome://flags/#enable-unsafe-webgpu", () => Gpu.open());
    delete navigator.gpu;
    say("without WebGPU it says what to do");
}

/** All of it: the lines, and what went wrong. */
export async function run() {
    try {
        await init();
        await withoutWebgpu();
        const gpu = await Gpu.open();
        await remote(await digits(gpu));
        await training();
        for (const name of SUITES) {
            await layers(gpu, name);
        }
        await activations(gpu);
        return { lines };
    } catch (error) {
        return { lines, error: String(error.stack ?? error) };
    }
}
