"""Reads a checkpoint as its users would: python3 h5py_reads_checkpoint.py CHECKPOINT. Exit 77: no h5py here."""
import json
import sys

try:
    import h5py
    import numpy as np
except ImportError:
    sys.exit(77)

checkpoint = sys.argv[1]


def rows_of(v):
    return 3 + v % 4


with h5py.File(f"{checkpoint}/master.h5", "r") as f:
    V = int(f.attrs["vnodes"])
    assert V == 10 and f.attrs["domain"] == b"plate" and f.attrs["step"] == 100, dict(f.attrs)

    # Equal shapes: [V, rows, columns].
    heat = f["fields/heat"]
    assert heat.shape == (V, 5, 7) and heat.dtype == np.float64, heat
    for v in range(V):
        expected = 1000.0 * v + np.arange(35).reshape(5, 7)
        assert (f["fields/heat"][v] == expected).all(), (v, heat[v])
    assert (heat[3:8, 2, 1:4] == [[1000.0 * v + 14 + c for c in (1, 2, 3)] for v in range(3, 8)]).all()

    # Different numbers of rows: joined along the first axis.
    rows = f["fields/rows"]
    offsets = f["fields/rows.offsets"][...]
    assert rows.shape == (sum(rows_of(v) for v in range(V)), 2) and len(offsets) == V + 1
    for v in range(V):
        part = rows[offsets[v]:offsets[v + 1]]
        assert (part == v * 100 + np.arange(2 * rows_of(v)).reshape(-1, 2)).all(), (v, part)

    # Everything different: flat, with shapes.
    flat = f["fields/flat"]
    offsets = f["fields/flat.offsets"][...]
    shapes = f["fields/flat.shapes"][...]
    assert shapes.shape == (V, 2) and flat.ndim == 1
    for v in range(V):
        assert tuple(shapes[v]) == (v % 3, 1 + v % 4), shapes[v]
        part = flat[offsets[v]:offsets[v + 1]].reshape(shapes[v])
        assert (part == v * 10 + np.arange(part.size).reshape(part.shape)).all(), (v, part)

    offsets = f["state.offsets"][...]
    for v in range(V):
        assert bytes(f["state"][offsets[v]:offsets[v + 1]]) == bytes([v] * v), v
    offsets = f["messages.offsets"][...]
    message = bytes(f["messages"][offsets[2]:offsets[3]])
    assert message == (3).to_bytes(8, sys.byteorder) + b"abc", message
    assert f["digests"].shape == (V,) and len(set(f["digests"][...])) == V
    names = [name.decode() for name in f["records/names"][...]]
    offsets = f["records/offsets"][...]
    assert names == ["result"] and bytes(f["records/bytes"][offsets[0]:offsets[1]]) == b"42"

with open(f"{checkpoint}/MANIFEST.json") as manifest:
    content = json.load(manifest)["manifest"]
    assert content["vnodes"] == 10 and [part["name"] for part in content["parts"]] == [
        "part-0000.h5", "part-0001.h5", "part-0002.h5"]
