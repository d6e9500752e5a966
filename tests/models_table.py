"""Makes the table of docs/models.md: whole models, how near they come to Keras, how fast they are and what memory they take.

    python3 tests/models_table.py PROGRAM FOLDER CONFORMANCE [NAME…]

PROGRAM is `wgpu-conv`, built with `--release`; FOLDER is for files that are made on the way, CONFORMANCE the conformance material.
The rows are the models of the material and the networks of tests/keras_applications.py at 224×224 pixels, or those of the names given.
The table is printed, row by row, and below it the adapter and what the processor is; put it in the page in place of the one there.

Needs what tests/keras_applications.py needs, and safetensors.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras_applications import FAMILIES, dev, made, pictures
from safetensors.numpy import load_file

EDGE = 224
RUNS = 5
REPEATS = 2

HEADER = ["model", "source", "input", "parameters", "dev", "first result", "steady", "device memory", "process"]


# Runs a command, prints what it prints, and then the milliseconds that it took and the most memory that it had. A process of its own,
# for what a child takes over from this one, with Keras in it, would count.
LAUNCHER = """
import resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:]).returncode
milliseconds = (time.perf_counter() - start) * 1000
print()
print(milliseconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def run(arguments):
    """What the program prints, the milliseconds that it takes where nothing is cached of what a driver has compiled, and the most
    memory that its process has had, in bytes."""
    with tempfile.TemporaryDirectory() as empty:
        caches = {"XDG_CACHE_HOME": empty, "MESA_SHADER_CACHE_DIR": empty}
        launch = [sys.executable, "-c", LAUNCHER, *arguments]
        done = subprocess.run(launch, capture_output=True, text=True, env=os.environ | caches)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise RuntimeError(said[0] if said else f"status {done.returncode}")
    printed, _, measured = done.stdout.rstrip().rpartition("\n")
    milliseconds, kibibytes = measured.split()
    return printed, float(milliseconds), int(kibibytes) * 1024


def seconds(milliseconds):
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def megabytes(count):
    return f"{count / 2**20:.1f} MiB" if count < 100 * 2**20 else f"{count / 2**20:.0f} MiB"


def row(program, folder, name, source, path, inputs, golden, chosen=()):
    """A row of the table, and the adapter."""
    output = folder / "outputs.npz"
    runs = [run([program, "run", path, inputs, *chosen, "-o", output, "--overwrite"])[1:] for _ in range(REPEATS)]
    made = np.load(output)
    worst = max(dev(made[f"output_{number}"], expected) for number, expected in enumerate(golden))
    measured = [json.loads(run([program, "bench", path, "--runs", str(RUNS), "--json"])[0]) for _ in range(REPEATS)]
    # Whatever else the machine does makes it slower, never faster.
    first, peak = map(min, zip(*runs))
    steady = min(one["call_ms"] for one in measured)
    measured = measured[0]
    parameters = {layer["layer"]: layer["parameters"] for layer in measured["layers"]}
    cells = [
        f"`{name}`",
        source,
        ", ".join("×".join(map(str, shape)) for shape in measured["inputs"]),
        f"{sum(parameters.values()):,}",
        f"{worst:.1e}",
        seconds(first),
        seconds(steady),
        megabytes(measured["memory"]["total"]),
        megabytes(peak),
    ]
    return cells, measured["adapter"]


def of_keras(program, folder, name):
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(len(name))
    model = made(name, EDGE, random)
    inputs = pictures(model, EDGE, 1, random)
    path = folder / f"{name}.keras"
    model.save(path)
    np.save(folder / "inputs.npy", inputs)
    golden = model.predict(inputs, verbose=0)
    keras.backend.clear_session()
    try:
        return row(program, folder, name, "`keras.applications`", path, folder / "inputs.npy", [golden])
    finally:
        path.unlink()


def of_material(program, folder, place, name):
    expected = place / "expected.safetensors"
    tensors = load_file(expected)
    # One of several that would fit.
    chosen = ["--tensor", "input_0"] if "input_1" not in tensors else []
    golden = [tensors[key] for key in sorted(tensors) if key.startswith("output_")]
    return row(program, folder, name, "conformance, Keras", place / "model.keras", expected, golden, chosen)


def main():
    logging.disable(logging.WARNING)
    program, folder, material, *names = sys.argv[1:]
    folder, material = Path(folder), Path(material) / "models"
    folder.mkdir(parents=True, exist_ok=True)
    names = names or [*sorted(place.name for place in material.iterdir()), *FAMILIES]
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}", flush=True)
    failed, adapter = 0, None
    for name in names:
        try:
            if name in FAMILIES:
                cells, adapter = of_keras(program, folder, name)
            else:
                cells, adapter = of_material(program, folder, material / name, name)
            print(f"| {' | '.join(cells)} |", flush=True)
        except Exception as error:
            failed += 1
            print(f"{name}: FAILED: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        processor = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    if adapter:
        print(f"\n{adapter['name']}, {adapter['driver']}, {os.cpu_count()} threads of {processor}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
