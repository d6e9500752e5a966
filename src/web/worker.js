// A worker that holds one model, for `remote.js`: to run it, or to train it. What it is asked it does in turn.
const libraries = { run: () => import("./wgpu_conv.js"), train: () => import("./wgpu_conv_train.js") };

let library;
let gpu;
let model;
/** The number of what it does. */
let asked;
/** Whether the training that goes on is to end. */
let stopping = false;

const answers = {
    /** `kind`: what it is for. `wasm`: the module's bytes or address, where it does not lie beside this file. */
    async open(kind, wasm) {
        library = await libraries[kind]();
        await library.default(wasm && { module_or_path: wasm });
        gpu = await library.Gpu.open();
        return { isSoftware: gpu.isSoftware };
    },
    load(bytes) {
        const next = library.Model.fromBytes(gpu, bytes);
        model?.free();
        model = next;
        const { name, parameters, inputShapes, outputShapes } = model;
        return { name, parameters, inputShapes, outputShapes, layers: model.layers() };
    },
    readArrays: (bytes) => library.readArrays(bytes),
    /** Tells of each step, and of each epoch with the weights that it came to. */
    async fit(x, y, options) {
        const tell = (told) => self.postMessage({ id: asked, told });
        const epochs = [];
        const history = await model.fit(x, y, {
            ...options,
            onBatch(batch, logs) {
                tell({ batch, logs });
                return !stopping;
            },
            onEpoch(epoch, logs) {
                epochs.push(model.weights().then((weights) => tell({ epoch, logs, weights })));
                return !stopping;
            },
        });
        await Promise.all(epochs);
        return history;
    },
    /** It was heeded when it came. */
    stop() {},
    ...Object.fromEntries([
        "summary", "predict", "predictAll", "warmUp", "layerOutputs", "layerTimes", "layerWeights", "pixels", "page",
        "weights", "setWeights", "initialize", "evaluate", "save",
    ].map((name) => [name, (...given) => {
        if (!model) {
            throw new Error("a model must be loaded first: call `load`");
        }
        return model[name](...given);
    }])),
};

let before = Promise.resolve();
self.onmessage = ({ data: { id, name, given } }) => {
    // Not in turn, for the training that it is about goes on.
    if (name === "stop" || name === "fit") {
        stopping = name === "stop";
    }
    before = before.then(async () => {
        asked = id;
        try {
            self.postMessage({ id, value: await answers[name](...given) });
        } catch (error) {
            self.postMessage({ id, error: String(error?.message ?? error) });
        }
    });
};
