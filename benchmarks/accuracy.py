#!/usr/bin/env python3
"""Trains cifar-cnn on CIFAR-10 with PyTorch and here, by the same recipe.

    /tmp/torch/bin/pip install torch pillow
    /tmp/torch/bin/python benchmarks/accuracy.py ../shared/data/cifar10-jpeg/cifar10-jpeg.tar.gz

The archive holds train/00000_frog.jpg and so on. It is a lossy (JPEG) copy of
CIFAR-10, so the accuracies are not those of the original. Both programs read the
same decoded pixels: Adam 1e-3, batches of 64, 10 epochs, no augmentation.
"""
import argparse
import io
import os
import subprocess
import tarfile
import tempfile

import numpy as np
import torch
from PIL import Image

from compare import ROOT, cifar_cnn

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def decode(archive, folder):
    """Writes CIFAR-10's binary files: a label, then 3x32x32 bytes, for each image."""
    records = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.name.endswith(".jpg"):
                continue
            split, name = member.name.split("/")[-2:]
            image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            label = CLASSES.index(name[:-4].split("_")[1])
            records[split].append(bytes([label]) + np.asarray(image).transpose(2, 0, 1).tobytes())
    for i in range(5):
        with open(os.path.join(folder, f"data_batch_{i + 1}.bin"), "wb") as f:
            f.write(b"".join(records["train"][10000 * i:10000 * (i + 1)]))
    with open(os.path.join(folder, "test_batch.bin"), "wb") as f:
        f.write(b"".join(records["test"]))


def load(folder, names):
    raw = np.concatenate([np.fromfile(os.path.join(folder, n), np.uint8) for n in names]).reshape(-1, 3073)
    x = (torch.from_numpy(raw[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)) / 255 - 0.5) / 0.25
    return x.to(memory_format=torch.channels_last), torch.from_numpy(raw[:, 0].astype(np.int64))


def train_torch(folder, epochs, seed):
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    x, y = load(folder, [f"data_batch_{i}.bin" for i in range(1, 6)])
    tx, ty = load(folder, ["test_batch.bin"])
    net = cifar_cnn()[0].to(memory_format=torch.channels_last)
    opt, loss = torch.optim.Adam(net.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss()
    for epoch in range(epochs):
        for index in torch.randperm(len(x)).split(64):
            opt.zero_grad(set_to_none=True)
            loss(net(x[index]), y[index]).backward()
            opt.step()
        with torch.inference_mode():
            right = sum(int((net(a).argmax(1) == b).sum()) for a, b in zip(tx.split(1000), ty.split(1000)))
        print(f"PyTorch {torch.__version__}: epoch {epoch + 1}: test accuracy {100 * right / len(tx):.2f} %", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("archive")
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--seeds", type=int, default=1)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        decode(a.archive, folder)
        for seed in range(1, a.seeds + 1):
            subprocess.run(["go", "run", "./benchmarks/central", "-data", folder, "-epochs", str(a.epochs), "-seed", str(seed)], cwd=ROOT, check=True)
            train_torch(folder, a.epochs, seed)


if __name__ == "__main__":
    main()
