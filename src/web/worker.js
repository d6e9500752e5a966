// A worker that holds one model, for `remote.js`. What it is asked it does in turn.
import init, { Gpu, Model } from "./wgpu_conv.js";

let gpu;
let model;

const answers = {
    /** `wasm`: the module's bytes or address, where it does not lie beside this file. */
    async open(wasm) {
        await init(wasm && { module_or_path: wasm });
        gpu = await Gpu.open();
        return { isSoftware: gpu.isSoftware };
    },
    load(bytes) {
        const next = Model.fromBytes(gpu, bytes);
        model?.free();
        model = next;
        const { name, parameters, inputShapes, outputShapes } = model;
        return { name, parameters, inputShapes, outputShapes, layers: model.layers() };
    },
    ...Object.fromEntries([
        "summary", "predict", "predictAll", "warmUp", "layerOutputs", "layerTimes", "layerWeights", "pixels", "page",
    ].map((name) => [name, (...given) => {
        if (!model) {
            throw new Error("a model must be loaded first: call `load`");
        }
        return model[name](...given);
    }])),
};

let before = Promise.resolve();
self.onmessage = ({ data: { id, name, given } }) => {
    before = before.then(async () => {
        try {
            self.postMessage({ id, value: await answers[name](...given) });
        } catch (error) {
            self.postMessage({ id, error: String(error?.message ?? error) });
        }
    });
};
