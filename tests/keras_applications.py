"""Shows that the networks of keras.applications give Keras's numbers here.

    python3 tests/keras_applications.py PROGRAM FOLDER [NAME…]

PROGRAM is `wgpu-conv`, built with its default features. Keras makes one network of every family, or those of the names given,
with ten classes and random weights; the statistics of its normalizations are drawn too, for those of a new network hide most
faults. It computes two random pictures and saves the network in FOLDER, as `.keras` and as `.h5`. The program must make the same
of either file.

Needs keras, h5py, numpy, and a backend that KERAS_BACKEND names; jax is the smallest.
"""

import logging
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

# The largest deviation, as docs/precision.md defines it.
LIMIT = 1e-5

# Class and edge of the pictures, small where the network allows it; its last stage must have a pixel.
FAMILIES = {
    "ConvNeXtTiny": 64,
    "DenseNet121": 64,
    "EfficientNetB0": 64,
    "EfficientNetV2B0": 64,
    "InceptionResNetV2": 96,
    "InceptionV3": 96,
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Small": 64,
    "NASNetMobile": 64,
    "ResNet50": 64,
    "ResNet50V2": 64,
    "VGG16": 48,
    "Xception": 96,
}


def made(name, edge, random):
    """A network for pictures of that edge, with weights of which none is what a new one has."""
    model = getattr(keras.applications, name)(weights=None, classes=10, input_shape=(edge, edge, 3))
    for weight in model.weights:
        value = np.asarray(weight)
        if value.dtype != np.float32:
            continue
        if weight.name in ("gamma", "moving_variance", "variance"):
            value = value * random.uniform(0.7, 1.3, value.shape)
        elif weight.name in ("beta", "bias", "moving_mean", "mean"):
            value = value + random.normal(0, 0.1, value.shape)
        weight.assign(value.astype("float32"))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            # It computes by what it made of its statistics, until it is told that they are others.
            layer.finalize_state()
    return model


def dev(got, golden):
    got, golden = np.asarray(got, "float64"), np.asarray(golden, "float64")
    if got.shape != golden.shape:
        return np.inf
    return np.max(np.abs(got - golden)) / max(np.max(np.abs(golden)), 0.05)


def pictures(model, edge, count, random):
    """So many random pictures, of the range that the network takes."""
    most = 255 if model.layers[1].name.startswith("rescaling") else 2
    return random.uniform(0, most, (count, edge, edge, 3)).astype("float32")


def check(program, folder, name):
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(len(name))
    edge = FAMILIES[name]
    model = made(name, edge, random)
    inputs = pictures(model, edge, 2, random)
    np.save(folder / "inputs.npy", inputs)
    golden = model.predict(inputs, verbose=0)
    told = []
    for kind in ["keras", "h5"]:
        path = folder / f"{name}.{kind}"
        model.save(path)
        run = [program, "run", path, folder / "inputs.npy", "-o", folder / "outputs.npy", "--overwrite"]
        done = subprocess.run(run, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f".{kind}: {done.stderr.strip()}"
        worst = dev(np.load(folder / "outputs.npy"), golden)
        assert worst <= LIMIT, f".{kind}: the outputs are {worst:.1e} apart"
        told.append(f".{kind} {worst:.1e}")
        path.unlink()
    spread = np.max(golden) - np.min(golden)
    assert spread > 1e-3, f"the outputs are all alike, {spread:.1e} apart, and would show nothing"
    return ", ".join(told)


def main():
    # That .h5 is legacy.
    logging.disable(logging.WARNING)
    program, folder, *names = sys.argv[1:]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = names or list(FAMILIES)
    failed = 0
    for name in names:
        try:
            print(f"{name}: {check(program, folder, name)}", flush=True)
        except Exception as error:
            failed += 1
            print(f"{name}: FAILED: {type(error).__name__}: {error}", flush=True)
        keras.backend.clear_session()
    print(f"keras.applications {keras.__version__}: {len(names) - failed} of {len(names)} networks")
    sys.exit(failed > 0 or not names)


if __name__ == "__main__":
    main()
