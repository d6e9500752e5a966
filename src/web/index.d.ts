export { default as init, Gpu, Layer, Model, inspect } from "./wgpu_conv.js";
export type { Contents, HostTensor, LayerDescription, LayerOutput, Weight } from "./wgpu_conv.js";
export { RemoteModel } from "./remote.js";
