/** Starts `worker.js`. */
const startWorker = () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

/** A worker that answers what it is asked. */
class Answering {
    /** Starts it for this `kind` of work, and opens the GPU; what it says of that. */
    static async open(kind, worker, wasm) {
        const answering = new Answering(worker);
        return [answering, await answering.ask("open", [kind, wasm])];
    }

    constructor(worker) {
        this.worker = worker;
        this.asked = new Map();
        worker.onmessage = ({ data: { id, value, error, told } }) => {
            const { resolve, reject, tell } = this.asked.get(id);
            if (told !== undefined) {
                tell?.(told);
                return;
            }
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

    /** A promise for the answer; `tell` is called with what it says before. */
    ask(name, given = [], tell = undefined) {
        return new Promise((resolve, reject) => {
            const id = this.number = (this.number ?? 0) + 1;
            this.asked.set(id, { resolve, reject, tell });
            this.worker.postMessage({ id, name, given });
        });
    }
}

/**
 * A model in a worker, so that the page stays free: each method is a promise for what the method of `Model` returns.
 *
 *     const model = await RemoteModel.open();
 *     await model.load(new Uint8Array(await (await fetch("digits.keras")).arrayBuffer()));
 *     const { values } = await model.predict(pixels, [1, 8, 8, 1]);
 *
 * What trains it is another module of the library, in a worker of its own, and loaded when it is first asked for. Whatever is
 * asked of the model then, also while it is trained, is answered with the weights of the last epoch.
 */
export class RemoteModel {
    /**
     * Starts the worker and opens the GPU. `worker`: `worker.js`; `wasm`: the module, where it does not lie beside that;
     * `trainer`: a function that gives both for training, `{ worker, wasm }`.
     */
    static async open(worker = startWorker(), wasm = undefined, trainer = () => ({ worker: startWorker() })) {
        const [runner, opened] = await Answering.open("run", worker, wasm);
        return Object.assign(new RemoteModel(), opened, { runner, startTrainer: trainer });
    }

    ask(name, ...given) { return this.runner.ask(name, given); }

    /** Loads the model of a file, instead of the one before; what it is called, its shapes and its layers. */
    async load(bytes) {
        const told = await this.ask("load", bytes);
        this.file = bytes;
        return told;
    }
    summary() { return this.ask("summary"); }
    predict(values, shape) { return this.ask("predict", values, shape); }
    predictAll(inputs) { return this.ask("predictAll", inputs); }
    warmUp(shapes) { return this.ask("warmUp", shapes); }
    layerOutputs(inputs) { return this.ask("layerOutputs", inputs); }
    layerTimes(inputs, runs) { return this.ask("layerTimes", inputs, runs); }
    layerWeights(name) { return this.ask("layerWeights", name); }
    pixels(height, width, rgba) { return this.ask("pixels", height, width, rgba); }
    page(inputs) { return this.ask("page", inputs); }

    /** The worker that trains, which is started where there is none. */
    async trainer() {
        this.training ??= Promise.resolve().then(this.startTrainer)
            .then(({ worker, wasm }) => Answering.open("train", worker, wasm));
        try {
            return (await this.training)[0];
        } catch (error) {
            this.training = undefined;
            throw error;
        }
    }

    /** The same, with the model that is loaded here. */
    async learner() {
        const { file } = this;
        if (!file) {
            throw new Error("a model must be loaded first: call `load`");
        }
        const trainer = await this.trainer();
        if (this.learning !== file) {
            await trainer.ask("load", [file]);
            this.learning = file;
        }
        return trainer;
    }

    /** Has `change` done by the worker that trains, whose weights are then the model's. */
    async changed(change) {
        const learner = await this.learner();
        try {
            return await change(learner);
        } finally {
            if (this.learning === this.file) {
                await this.ask("setWeights", await learner.ask("weights"));
            }
        }
    }

    fit(x, y, { onBatch, onEpoch, ...options } = {}) {
        return this.changed(async (learner) => {
            let wrong;
            const call = (told) => {
                try {
                    if (told() === false) {
                        this.stopTraining();
                    }
                } catch (error) {
                    wrong ??= error;
                    this.stopTraining();
                }
            };
            let before = Promise.resolve();
            const history = await learner.ask("fit", [x, y, options], ({ batch, epoch, logs, weights }) => {
                if (epoch === undefined) {
                    call(() => onBatch?.(batch, logs));
                    return;
                }
                // In turn, as each waits for the weights to be there.
                before = before.then(() => this.ask("setWeights", weights)).then(() => call(() => onEpoch?.(epoch, logs)), call);
            });
            await before;
            if (wrong) {
                throw wrong;
            }
            return history;
        });
    }
    async stopTraining() { (await this.training)?.[0].ask("stop"); }
    initialize(seed = 0) { return this.changed((learner) => learner.ask("initialize", [seed])); }
    async evaluate(x, y, options = {}) { return (await this.learner()).ask("evaluate", [x, y, options]); }
    async save() { return (await this.learner()).ask("save"); }
    async readArrays(bytes) { return (await this.trainer()).ask("readArrays", [bytes]); }

    /** Ends the workers. */
    close() {
        this.runner.worker.terminate();
        this.training?.then(([trainer]) => trainer.worker.terminate(), () => {});
    }
}
