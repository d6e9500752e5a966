/**
 * A model in a worker, so that the page stays free: each method is a promise for what the method of `Model` returns.
 *
 *     const model = await RemoteModel.open();
 *     await model.load(new Uint8Array(await (await fetch("digits.keras")).arrayBuffer()));
 *     const { values } = await model.predict(pixels, [1, 8, 8, 1]);
 */
export class RemoteModel {
    /** Starts the worker and opens the GPU. `worker`: `worker.js`; `wasm`: the module, where it does not lie beside that. */
    static async open(worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" }), wasm = undefined) {
        const remote = new RemoteModel(worker);
        Object.assign(remote, await remote.ask("open", wasm));
        return remote;
    }

    constructor(worker) {
        this.worker = worker;
        this.asked = new Map();
        worker.onmessage = ({ data: { id, value, error } }) => {
            const { resolve, reject } = this.asked.get(id);
            this.asked.delete(id);
            if (error === undefined) {
                resolve(value);
            } else {
                reject(new Error(error));
            }
        };
        worker.onerror = (event) => {
            this.asked.forEach(({ reject }) => reject(new Error(`the worker has failed: ${event.message || "it did not start"}`)));
            this.asked.clear();
        };
    }

    ask(name, ...given) {
        return new Promise((resolve, reject) => {
            const id = this.number = (this.number ?? 0) + 1;
            this.asked.set(id, { resolve, reject });
            this.worker.postMessage({ id, name, given });
        });
    }

    /** Loads the model of a file, instead of the one before; what it is called, its shapes and its layers. */
    load(bytes) { return this.ask("load", bytes); }
    summary() { return this.ask("summary"); }
    predict(values, shape) { return this.ask("predict", values, shape); }
    predictAll(inputs) { return this.ask("predictAll", inputs); }
    warmUp(shapes) { return this.ask("warmUp", shapes); }
    layerOutputs(inputs) { return this.ask("layerOutputs", inputs); }
    layerTimes(inputs, runs) { return this.ask("layerTimes", inputs, runs); }
    layerWeights(name) { return this.ask("layerWeights", name); }
    pixels(height, width, rgba) { return this.ask("pixels", height, width, rgba); }
    page(inputs) { return this.ask("page", inputs); }
    /** Ends the worker. */
    close() { this.worker.terminate(); }
}
