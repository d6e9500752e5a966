// The library by itself, and a model in a worker.
export { default as init, Gpu, Layer, Model, inspect } from "./wgpu_conv.js";
export { RemoteModel } from "./remote.js";
