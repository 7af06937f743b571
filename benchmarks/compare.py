#!/usr/bin/env python3
"""Compares training with PyTorch on this machine.

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch
    /tmp/torch/bin/python benchmarks/compare.py [--threads 1] [--rounds 7]

The same model, batch, optimiser and threads; both memory formats of PyTorch, of
which the better one counts. The two programs take turns: every round times
PyTorch contiguous, PyTorch channels_last and this repository, one after another,
so that a disturbed moment disturbs all three. Medians over rounds are printed.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from torch import nn

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cifar_cnn():
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4096, 128), nn.ReLU(), nn.Linear(128, 10)), (3, 32, 32)


def mnist_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(800, 48), nn.ReLU(), nn.Linear(48, 10)), (1, 28, 28)


def dp_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 8, stride=2, padding=3), nn.Tanh(), nn.MaxPool2d(2, stride=1),
        nn.Conv2d(16, 32, 4, stride=2), nn.Tanh(), nn.MaxPool2d(2, stride=1),
        nn.Flatten(), nn.Linear(512, 32), nn.Tanh(), nn.Linear(32, 10)), (1, 28, 28)


MODELS = {"cifar-cnn": cifar_cnn, "mnist-cnn": mnist_cnn, "dp-cnn": dp_cnn}


class Torch:
    def __init__(self, model, batch, mode, memory_format):
        torch.manual_seed(1)
        net, shape = MODELS[model]()
        self.net = net.to(memory_format=memory_format)
        self.x = torch.randn(batch, *shape).to(memory_format=memory_format)
        self.y = torch.randint(0, 10, (batch,))
        self.batch, self.mode = batch, mode
        self.opt = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.loss = nn.CrossEntropyLoss()
        for _ in range(5):
            self.step()

    def step(self):
        if self.mode == "forward":
            with torch.inference_mode():
                self.net(self.x)
            return
        self.opt.zero_grad(set_to_none=True)
        self.loss(self.net(self.x), self.y).backward()
        self.opt.step()

    def rate(self, seconds):
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            self.step()
            n += 1
        return n * self.batch / (time.perf_counter() - start)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--seconds", type=float, default=0.5)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)  # as the optimisers here do
    print(f"PyTorch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), {a.threads} thread(s), medians of {a.rounds} rounds of {a.seconds} s")
    with tempfile.TemporaryDirectory() as tmp:
        binary = os.path.join(tmp, "steptime")
        subprocess.run(["go", "build", "-o", binary, "./benchmarks/steptime"], cwd=ROOT, check=True)
        for model, batch, mode in [
                ("cifar-cnn", 64, "train"), ("cifar-cnn", 10, "train"), ("cifar-cnn", 64, "forward"),
                ("mnist-cnn", 32, "train"), ("dp-cnn", 64, "train")]:
            formats = {f: Torch(model, batch, mode, getattr(torch, f)) for f in ("contiguous_format", "channels_last")}
            rates = {f: [] for f in formats}
            ours, kernel, peak = [], "", 0.0
            for _ in range(a.rounds):
                for f, t in formats.items():
                    rates[f].append(t.rate(a.seconds))
                env = dict(os.environ, GOMAXPROCS=str(a.threads))
                out = json.loads(subprocess.run(
                    [binary, "-model", model, "-batch", str(batch), "-mode", mode, "-threads", str(a.threads),
                     "-reps", "1", "-seconds", str(a.seconds)], env=env, check=True, capture_output=True).stdout)
                ours += out["samples_per_s"]
                kernel, peak = out["kernel"], max(peak, out["peak_gflops"])
            best = max(rates, key=lambda f: statistics.median(rates[f]))
            ratio = statistics.median(o / t for o, t in zip(ours, rates[best]))
            print(f"{model} batch {batch} {mode}: sotto ({kernel}, peak {peak:.0f} GFLOP/s) {statistics.median(ours):.0f} samples/s; PyTorch " +
                  ", ".join(f"{f} {statistics.median(r):.0f}" for f, r in rates.items()) +
                  f"; ratio to the better {ratio:.2f}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
