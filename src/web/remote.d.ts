import type { HostTensor, LayerDescription, LayerOutput, Weight } from "./wgpu_conv.js";
import type { FitOptions, History, Logs } from "./wgpu_conv_train.js";

/**
 * A model in a worker, so that the page stays free. What trains it is another module of the library, in a worker of its own, and
 * loaded when it is first asked for.
 */
export class RemoteModel {
    /**
     * Starts the worker and opens the GPU. `worker`: `worker.js`; `wasm`: the module, where it does not lie beside that;
     * `trainer`: a function that gives both for training.
     */
    static open(
        worker?: Worker,
        wasm?: BufferSource | string,
        trainer?: () => { worker: Worker; wasm?: BufferSource | string },
    ): Promise<RemoteModel>;
    /** Whether the GPU is a processor that acts as one. */
    readonly isSoftware: boolean;
    /** Loads the model of a file, instead of the one before. */
    load(bytes: Uint8Array): Promise<{
        name: string;
        parameters: number;
        inputShapes: (number | null)[][];
        outputShapes: (number | null)[][];
        layers: LayerDescription[];
    }>;
    summary(): Promise<string>;
    predict(values: Float32Array, shape: number[]): Promise<HostTensor>;
    predictAll(inputs: HostTensor[]): Promise<HostTensor[]>;
    warmUp(shapes: number[][]): Promise<void>;
    layerOutputs(inputs: HostTensor[]): Promise<LayerOutput[]>;
    layerTimes(inputs: HostTensor[], runs: number): Promise<Float64Array>;
    layerWeights(name: string): Promise<Weight[]>;
    pixels(height: number, width: number, rgba: Uint8Array | Uint8ClampedArray): Promise<HostTensor>;
    page(inputs: HostTensor[]): Promise<string>;
    /**
     * Trains the model, of a `.keras` or `.h5` file, on samples along the first axis of `x` and `y`: its inputs and the targets of
     * its outputs. Each call compiles it anew, so that what an optimizer keeps begins with it. Whatever is asked of the model
     * while it is trained, and after that, is answered with the weights of the last epoch; in `onEpoch` already.
     */
    fit(x: HostTensor | HostTensor[], y: HostTensor | HostTensor[], options?: FitOptions): Promise<History>;
    /** Ends the training that goes on, after its step; what it has learned stays. */
    stopTraining(): Promise<void>;
    /** Gives all weights first values, as if the model were new; equal seeds give equal ones. */
    initialize(seed?: number): Promise<void>;
    /** The loss and the metrics of samples; of the options those count which say how a model is trained, and `batchSize`. */
    evaluate(x: HostTensor | HostTensor[], y: HostTensor | HostTensor[], options?: FitOptions): Promise<Logs>;
    /** The model with its weights as a `.keras` file, as Keras loads it, without what an optimizer keeps. */
    save(): Promise<Uint8Array>;
    /** The arrays in a file of NumPy's, `.npz` or `.npy`, by their names. */
    readArrays(bytes: Uint8Array): Promise<Weight[]>;
    /** Ends the workers. */
    close(): void;
}
