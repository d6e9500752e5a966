"""Holds the accuracy that Keras measures of a trained model to what this library said of it.

    python3 tests/keras_accuracy.py MODEL.keras DATA.npz ACCURACY

DATA holds `x_test` and `y_test`. Needs keras, numpy, and a backend that KERAS_BACKEND names; jax is the smallest.
"""

import sys

import keras
import numpy as np


def main(model, data, said):
    arrays = np.load(data)
    scores = keras.saving.load_model(model).predict(arrays["x_test"], verbose=0)
    measured = float((scores.argmax(-1) == arrays["y_test"]).mean())
    # What is printed has four places.
    held = abs(measured - float(said)) < 1e-4
    print(f"{model}: Keras measures an accuracy of {measured:.4f}, and {said} was said")
    print(f"{int(held)} passed, {int(not held)} failed")
    return int(not held)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
