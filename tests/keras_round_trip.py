"""Shows what this library has saved to Keras itself.

    python3 tests/keras_round_trip.py <target>/tmp/round_trip

`tests/files.rs` saves models there, each in a folder of its own: `model.keras`, `model.weights.h5`, `weights.safetensors`,
`expected.safetensors` with inputs and what this library made of them, and `origin.json`, which names the file from Keras
that the model was read from, if it was. Every model must be loaded by Keras and give the same outputs; one from Keras must
have the config that it had, and every bit of its weights.

`tests/fit.rs` saves trainings beside them, each in a folder of its own: `run.keras`, and `training.json` with what is learned from,
and every weight two epochs later. Keras must go on from the file to the same weights.

Needs keras, h5py, numpy, safetensors, and a backend that KERAS_BACKEND names; jax is the smallest.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import load_file

# The conformance material's own limit for whole models.
LIMIT = 1e-4


def dev(got, golden):
    got, golden = np.asarray(got, "float64"), np.asarray(golden, "float64")
    if got.shape != golden.shape:
        return np.inf
    # What is no number, or infinite, must be the same.
    alike = (got == golden) | (np.isnan(got) & np.isnan(golden))
    finite = np.isfinite(got) & np.isfinite(golden)
    if not np.all(alike | finite):
        return np.inf
    off = np.abs(got[finite] - golden[finite])
    return np.max(off, initial=0.0) / max(np.max(np.abs(golden[finite]), initial=0.0), 0.05)


def outputs(model, inputs):
    """The outputs for inputs, in a flat list."""
    structure = None if isinstance(model, keras.Sequential) else model.input
    if isinstance(structure, dict):
        inputs = dict(zip(sorted(structure), inputs))
    elif not isinstance(structure, (list, tuple)):
        [inputs] = inputs
    made = model(inputs, training=False)
    return [np.asarray(value) for value in keras.tree.flatten(made)]


def as_saved(config):
    """The config as a file holds it, where a tuple is a list: Keras gives shapes as the one or the other."""
    return json.loads(json.dumps(config))


def weights(model):
    return [np.asarray(weight) for weight in model.weights]


def same(some, others):
    return len(some) == len(others) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(some, others)
    )


def paths(model, around=""):
    """The layers with weights of their own, by path; models that are no Sequential leave no trace in Keras's paths."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from paths(layer, f"{around}{layer.name}/")
        elif layer.weights:
            yield f"{around}{layer.name}", layer


def check(folder):
    model = keras.saving.load_model(folder / "model.keras")
    expected = load_file(folder / "expected.safetensors")
    inputs = [expected[f"input_{i}"] for i in range(len(expected)) if f"input_{i}" in expected]
    golden = [expected[f"output_{i}"] for i in range(len(expected)) if f"output_{i}" in expected]
    made = outputs(model, inputs)
    assert len(made) == len(golden), f"{len(made)} outputs of {len(golden)}"
    worst = max(dev(a, b) for a, b in zip(made, golden))
    assert worst <= LIMIT, f"the outputs are {worst:.1e} apart"

    loaded = weights(model)
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape, weight.dtype))
    model.load_weights(folder / "model.weights.h5")
    assert same(weights(model), loaded), "model.weights.h5 has other weights"

    tensors = load_file(folder / "weights.safetensors")
    around = f"{model.name}/" if isinstance(model, keras.Sequential) else ""
    named = {}
    for path, layer in paths(model, around):
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{path}/")}
        names = {f"{path}/{w.name}" for w in layer.weights}
        # Of a layer that is several in this library, the names of those stand between, and may be others.
        several = isinstance(layer, keras.layers.Attention) or len(list(layer._flatten_layers())) > 1
        assert names == set(own) or several, f"weights.safetensors has {sorted(own)}, not {sorted(names)}"
        contents = lambda values: sorted((value.shape, value.tobytes()) for value in values)
        assert contents(own.values()) == contents(map(np.asarray, layer.weights)), f"other tensors of {path}"
        named |= own
    assert named.keys() == tensors.keys(), f"weights.safetensors has {sorted(tensors)}, not {sorted(named)}"

    original = json.loads((folder / "origin.json").read_text())["original"]
    if original:
        original = keras.saving.load_model(original)
        assert type(original) is type(model), f"a {type(original)} became a {type(model)}"
        assert as_saved(model.get_config()) == as_saved(original.get_config()), "another config"
        assert same(loaded, weights(original)), "other weights"
        assert [w.path for w in model.weights] == [w.path for w in original.weights], "other paths"
        assert same(made, outputs(original, inputs)), "other outputs than from the original"
        assert original.get_compile_config() == model.get_compile_config(), "compiled otherwise"
    return f"{worst:.1e}" + (", config and weights as they were" if original else "")


def check_training(folder):
    told = json.loads((folder / "training.json").read_text())
    model = keras.saving.load_model(folder / "run.keras")
    x, y = (np.asarray(told[key]["values"], "float32").reshape(told[key]["shape"]) for key in ["x", "y"])
    before = int(model.optimizer.iterations)
    assert before > 0, "the optimizer begins anew"
    history = model.fit(x, y, batch_size=told["batch_size"], epochs=told["epochs"], shuffle=False, verbose=0)
    worst = max(dev(np.ravel(got), golden) for got, golden in zip(model.get_weights(), told["weights"], strict=True))
    worst = max(worst, dev(history.history["loss"], told["loss"]))
    assert worst <= LIMIT, f"the weights are {worst:.1e} apart"
    return f"{worst:.1e}, {type(model.optimizer).__name__} from step {before} on"


def main():
    folders = sorted(path.parent for name in ["origin", "training"] for path in Path(sys.argv[1]).glob(f"*/{name}.json"))
    failed = 0
    for folder in folders:
        try:
            is_training = (folder / "training.json").exists()
            print(f"{folder.name}: {check_training(folder) if is_training else check(folder)}")
        except Exception as error:
            failed += 1
            print(f"{folder.name}: FAILED: {type(error).__name__}: {error}")
    print(f"Keras {keras.__version__} on {keras.backend.backend()}: {len(folders) - failed} of {len(folders)} models")
    sys.exit(failed > 0 or not folders)


main()
