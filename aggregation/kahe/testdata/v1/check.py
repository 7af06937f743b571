"""Recomputes public.json and uploads.json from docs/protocol.md, sentences E1 to E8.

A second implementation, in plain Python, of what the vectors fix. It shares nothing
with the Go package but the files. It needs the command openssl, for AES.

    python3 check.py
"""
import hashlib
import json
import pathlib
import struct
import subprocess

HERE = pathlib.Path(__file__).parent


def load(name):
    return json.loads((HERE / name).read_text())


PRESETS = {p["name"]: p for p in load("presets.json")}


def ring(name):
    p = PRESETS[name]
    return p["n"], [int(q) for q in p["primes"]]


def key_stream(key, iv, length):
    command = ["openssl", "enc", "-aes-256-ctr", "-K", key.hex(), "-iv", iv.hex(), "-nopad"]
    return subprocess.run(command, input=bytes(length), capture_output=True, check=True).stdout


def public(name, seed, i, j):
    """a_j modulo prime i, transformed (E6, E7)."""
    n, primes = ring(name)
    text = b"sotto/kahe/v1 public\0" + struct.pack(">QQ", n, len(primes))
    text += b"".join(struct.pack(">Q", q) for q in primes) + seed
    stream = key_stream(hashlib.sha256(text).digest(), struct.pack(">IIQ", i, j, 0), 8 * (n + 64))
    mask = (1 << primes[i].bit_length()) - 1
    words = [w & mask for w in struct.unpack(f"<{n + 64}Q", stream)]
    return [w for w in words if w < primes[i]][:n]


def interpolate(values, q):
    """The coefficients of the polynomial with this transform (E5)."""
    n = len(values)
    y = 2
    while pow(pow(y, (q - 1) // (2 * n), q), n, q) != q - 1:
        y += 1
    psi = pow(y, (q - 1) // (2 * n), q)
    width = n.bit_length() - 1
    ordered = [0] * n
    for position, v in enumerate(values):
        ordered[int(format(position, f"0{width}b")[::-1], 2)] = v

    def undo(a, w):
        if len(a) == 1:
            return a
        even, odd = undo(a[::2], w * w % q), undo(a[1::2], w * w % q)
        half, t = len(a) // 2, 1
        out = [0] * len(a)
        for k in range(half):
            out[k], out[k + half] = (even[k] + t * odd[k]) % q, (even[k] - t * odd[k]) % q
            t = t * w % q
        return out

    back = pow(psi, -1, q)
    out, factor = [], pow(n, -1, q)
    for x in undo(ordered, back * back % q):
        out.append(x * factor % q)
        factor = factor * back % q
    return out


def multiply(a, b, q):
    """a*b modulo X^N+1 and q, by one product of large integers."""
    n, size = len(a), 20
    x = int.from_bytes(b"".join(v.to_bytes(size, "little") for v in a), "little")
    y = int.from_bytes(b"".join((v % q).to_bytes(size, "little") for v in b), "little")
    product = (x * y).to_bytes(2 * n * size, "little")
    c = [int.from_bytes(product[size * k : size * (k + 1)], "little") for k in range(2 * n)]
    return [(c[k] - c[k + n]) % q for k in range(n)]


def small(i, salt):
    return (31 * i * i + 7 * i + 11 * salt) % 27 - 13


def upload(v):
    s = v["spec"]
    n, primes = ring(s["preset"])
    q = 1
    for prime in primes:
        q *= prime
    fields, width, k, r = s["fields"], s["width"], s["noise_bits"], s["drop_bits"]
    values = [v["values"][i % len(v["values"])] for i in range(s["values"])]
    secret = [small(i, v["salt"]) for i in range(n)]
    half = (1 << r) >> 1
    count = max(n, -(-len(values) // fields))
    sent = []
    for j in range(-(-count // n)):
        parts = [
            multiply(interpolate(public(s["preset"], bytes.fromhex(v["seed"]), i, j), p), secret, p)
            for i, p in enumerate(primes)
        ]
        for x in range(min(n, count - j * n)):
            product = sum(part[x] * (q // p) * pow(q // p, -1, p) for part, p in zip(parts, primes))
            at = (j * n + x) * fields
            message = sum(value * (1 << (f * width)) for f, value in enumerate(values[at : at + fields]))
            sent.append(((product + small(x, v["salt"] + j + 1) + (message << k)) % q + half) >> r)
    bits = ((q - 1 + half) >> r).bit_length()
    text = "".join(format(c, f"0{bits}b")[::-1] for c in sent)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8][::-1], 2) for i in range(0, len(text), 8))


for v in load("public.json"):
    digest = hashlib.sha256()
    for i, first in enumerate(v["first_residues_by_prime"]):
        a = public(v["preset"], bytes.fromhex(v["seed"]), i, v["j"])
        assert a[:8] == first, v["preset"]
        digest.update(struct.pack(f">{len(a)}Q", *a))
    assert digest.hexdigest() == v["sha256_of_all_big_endian"], v["preset"]

for v in load("uploads.json"):
    body = upload(v)
    assert len(body) == v["length"] and body[:64].hex() == v["first_64_bytes"], v["spec"]
    assert hashlib.sha256(body).hexdigest() == v["sha256"], v["spec"]

print("all vectors agree")
