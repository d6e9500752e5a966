"""Makes the files of tests/fuzz/seeds: pictures, arrays and tensors, which tests/fixtures has few of.

    python tests/fuzz/seeds.py        # with Pillow and NumPy

They are small, and each holds another part of its format: colour types and bit depths, progressive and subsampled JPEG,
types and orders of NumPy, types of safetensors.
"""

import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
RAMP = np.arange(8 * 8 * 4, dtype=np.uint8).reshape(8, 8, 4)


def folder(name):
    path = HERE / "seeds" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def png(name, depth, colour, rows, interlace=0, palette=b""):
    """A PNG file of 8×8 pixels, written by hand, for Pillow does not write all there are."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, interlace)
    parts = [chunk(b"IHDR", header)] + [chunk(b"PLTE", palette)] * bool(palette)
    content = b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    (folder("png") / f"{name}.png").write_bytes(content)


def pngs():
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    for colour, depth in [(0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 2), (3, 8), (4, 8), (6, 8), (6, 16)]:
        line = bytes(i * 7 % 4 if colour == 3 else i * 7 % 256 for i in range(8 * channels[colour] * depth // 8))
        palette = bytes(range(3 * 4)) if colour == 3 and depth == 2 else bytes(range(256)) * 3 if colour == 3 else b""
        rows = b"".join(bytes([filter]) + line for filter in [0, 1, 2, 3, 4, 0, 1, 2])
        png(f"colour_{colour}_depth_{depth}", depth, colour, rows, palette=palette)
    # The seven passes of 8×8 pixels: their widths and heights.
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    png("interlaced", 8, 0, b"".join((b"\0" + bytes(range(width))) * height for width, height in passes), interlace=1)


def jpegs():
    image = Image.fromarray(RAMP[..., :3])
    save = lambda image, name, **how: image.save(folder("jpeg") / f"{name}.jpg", **how)
    save(image, "rgb", quality=75, subsampling=0)
    save(image, "subsampled", quality=50, subsampling=2)
    save(image, "progressive", progressive=True)
    save(image, "restarts", restart_marker_blocks=1)
    save(image.convert("L"), "grey")
    save(image.convert("CMYK"), "cmyk")


def npys():
    for name, array in {
        "f4": np.linspace(-1, 1, 64, dtype="<f4").reshape(8, 8, 1),
        "f4_batch": np.linspace(-1, 1, 128, dtype="<f4").reshape(2, 8, 8, 1),
        "f8_big_endian": np.linspace(-1, 1, 64, dtype=">f8").reshape(8, 8, 1),
        "f2": np.linspace(-1, 1, 64, dtype="<f2").reshape(8, 8, 1),
        "u1": np.arange(64, dtype="u1").reshape(8, 8, 1),
        "i8": np.arange(64, dtype="<i8").reshape(8, 8, 1),
        "fortran": np.asfortranarray(np.linspace(-1, 1, 64, dtype="<f4").reshape(8, 8)),
        "empty": np.zeros((0, 8, 8, 1), "<f4"),
        "bool": np.eye(8, dtype=bool),
    }.items():
        np.save(folder("npy") / f"{name}.npy", array)
    with open(folder("npy") / "version_2.npy", "wb") as file:
        np.lib.format.write_array(file, np.zeros((8, 8, 1), "<f4"), version=(2, 0))


def tensors(name, arrays, metadata=None):
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for key, (dtype, shape, content) in arrays.items():
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    (folder("safetensors") / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def safetensors():
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
    tensors("types", {kind: (kind, [2, 3], bytes(6 * size)) for kind, size in sizes.items()}, {"format": "pt"})
    tensors("input", {"input_0": ("F32", [2, 8, 8, 1], bytes(512)), "labels": ("I64", [2], bytes(16))})
    tensors("empty", {"none": ("F32", [0, 3], b""), "scalar": ("F32", [], bytes(4))})


pngs(), jpegs(), npys(), safetensors()
