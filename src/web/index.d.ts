export { default as init, Gpu, Layer, Model, inspect } from "./wgpu_conv.js";
export type { Contents, HostTensor, LayerDescription, LayerOutput, Weight } from "./wgpu_conv.js";
export type { CompileOptions, FitOptions, History, Logs } from "./wgpu_conv_train.js";
export { RemoteModel } from "./remote.js";
