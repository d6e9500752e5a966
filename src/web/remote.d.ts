import type { HostTensor, LayerDescription, LayerOutput, Weight } from "./wgpu_conv.js";

/** A model in a worker, so that the page stays free. */
export class RemoteModel {
    /** Starts the worker and opens the GPU. `worker`: `worker.js`; `wasm`: the module, where it does not lie beside that. */
    static open(worker?: Worker, wasm?: BufferSource | string): Promise<RemoteModel>;
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
    /** Ends the worker. */
    close(): void;
}
