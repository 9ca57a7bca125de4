#!/usr/bin/env python3
"""Makes what the benchmark packs: a tree of many small files, and images with models.

Usage: make-data.py tree DIR FILES BYTES | make-data.py release DIR MODEL_BYTES | make-data.py change DIR

The content is made of a seeded generator, so every run packs the same bytes. Small files have the sizes
and the compressibility of a Linux /usr (most below 8 KiB, some large, a third of the size after zstd -3);
models are 16-bit floats around zero, as trained weights are, and hardly shrink.

`change` makes the next release of either: 5 % of the tree, which lie together as the files of a capability do, or one layer
of one image. The same again makes the first one.
"""

import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile
from array import array


def words(rng):
    """A vocabulary that compresses about three to one when it is strung together at random."""
    return [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz_0123456789", k=rng.randint(3, 11))) for _ in range(4000)]


def tree(folder, files, size):
    rng = random.Random(70000)
    vocabulary = words(rng)
    # One large pool, sliced at random places and salted, is much faster than choosing words per file.
    pool = b" ".join(rng.choices(vocabulary, k=4_000_000))
    weights = [rng.lognormvariate(8.0, 1.9) for _ in range(files)]
    scale = size / sum(weights)
    for number, weight in enumerate(weights):
        path = os.path.join(folder, f"d{number % 37:02}", f"s{number // 37 % 53:02}", f"file-{number:05}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        left = int(weight * scale)
        with open(path, "wb") as out:
            out.write(b"%d\n" % number)
            while left > 0:
                start = rng.randrange(len(pool) - 1)
                piece = pool[start : start + min(left, 2048)]
                out.write(piece)
                # A part that does not repeat, as in programs and pictures.
                out.write(rng.randbytes(len(piece) // 6))
                left -= len(piece) + len(piece) // 6
        if number % 11 == 0:
            os.chmod(path, 0o755)


def model(path, size, seed):
    rng = random.Random(seed)
    block = array("H", (int(min(65535, abs(rng.gauss(0, 6000)))) ^ (rng.getrandbits(1) << 15) for _ in range(1 << 20)))
    with open(path, "wb") as out:
        written = 0
        while written < size:
            mask = rng.randbytes(len(block) * 2)
            # The low byte is noise, the high byte has few values: what zstd finds in weights.
            piece = bytearray(block.tobytes())
            piece[0::2] = mask[0::2]
            out.write(piece[: size - written])
            written += len(piece)


def blob(layout, data):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(layout, "blobs/sha256", digest), "wb") as out:
        out.write(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def image(layout, name, layers):
    os.makedirs(os.path.join(layout, "blobs/sha256"))
    kinds = "application/vnd.oci.image."
    diffs, refs = [], []
    for plain in layers:
        diffs.append("sha256:" + hashlib.sha256(plain).hexdigest())
        refs.append({"mediaType": kinds + "layer.v1.tar+gzip", **blob(layout, gzip.compress(plain, 1, mtime=0))})
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}, "config": {}}
    config = {"mediaType": kinds + "config.v1+json", **blob(layout, json.dumps(config).encode())}
    manifest = {"schemaVersion": 2, "mediaType": kinds + "manifest.v1+json", "config": config, "layers": refs}
    manifest = {"mediaType": kinds + "manifest.v1+json", **blob(layout, json.dumps(manifest).encode())}
    manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
    with open(os.path.join(layout, "oci-layout"), "w") as out:
        out.write('{"imageLayoutVersion":"1.0.0"}')
    with open(os.path.join(layout, "index.json"), "w") as out:
        json.dump({"schemaVersion": 2, "manifests": [manifest]}, out)


def layer(rng, vocabulary, size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(size >> 20):
            text = b" ".join(rng.choices(vocabulary, k=110_000))[: 1 << 20]
            info = tarfile.TarInfo(f"usr/share/{rng.getrandbits(32):08x}-{number}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


def release(folder, model_bytes):
    rng = random.Random(4)
    vocabulary = words(rng)
    base = layer(rng, vocabulary, 96 << 20)
    for name in ("api", "worker", "gateway"):
        layout = os.path.join(folder, "images", name)
        image(layout, "latest", [base, layer(rng, vocabulary, 64 << 20)])
    os.makedirs(os.path.join(folder, "models"))
    for number in range(2):
        model(os.path.join(folder, "models", f"weights-{number}.bin"), model_bytes, number)


def change(folder):
    if os.path.isdir(os.path.join(folder, "images")):
        change_image(os.path.join(folder, "images", "api"))
        return
    paths = sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    sizes = [os.path.getsize(path) for path in paths]
    left = sum(sizes) // 20
    for path, size in list(zip(paths, sizes))[len(paths) // 3 :]:
        if left < 0:
            break
        left -= size
        with open(path, "r+b") as file:
            content = file.read()
            file.seek(0)
            # Other letters, which compress as well.
            file.write(content.translate(OTHER))


# Its own inverse.
OTHER = bytes.maketrans(b"abcdefghijklmnopqrstuvwxyz", b"zyxwvutsrqponmlkjihgfedcba")


def change_image(layout):
    other = layout + ".other"
    if os.path.isdir(other):
        os.rename(layout, layout + ".first")
        os.rename(other, layout)
        os.rename(layout + ".first", other)
        return
    rng = random.Random(5)
    vocabulary = words(random.Random(4))
    with open(os.path.join(layout, "index.json")) as file:
        manifest = json.load(file)["manifests"][0]["digest"]
    blobs = os.path.join(layout, "blobs/sha256")
    with open(os.path.join(blobs, manifest.removeprefix("sha256:"))) as file:
        base = json.load(file)["layers"][0]["digest"]
    with gzip.open(os.path.join(blobs, base.removeprefix("sha256:"))) as file:
        base = file.read()
    image(other, "latest", [base, layer(rng, vocabulary, 64 << 20)])
    change_image(layout)


def main():
    kind, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    if kind == "tree":
        tree(folder, int(sys.argv[3]), int(sys.argv[4]))
    elif kind == "release":
        release(folder, int(sys.argv[3]))
    elif kind == "change":
        change(folder)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
