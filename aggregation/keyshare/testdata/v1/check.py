#!/usr/bin/env python3
"""Recompute what of vectors.json needs only SHA-2, ChaCha20 and integers, from
docs/protocol.md and the package's comments: a second implementation in small.

    python3 check.py        prints "ok", or fails at the first difference
"""
import base64, hashlib, json, os, struct

v = json.load(open(os.path.join(os.path.dirname(__file__), "vectors.json")))
sha = lambda b: hashlib.sha256(b).digest()
u64 = lambda n: struct.pack(">Q", n)
var = lambda b: struct.pack(">I", len(b)) + b


class Reader:
    def __init__(self, b, label):
        self.b = b
        assert self.var() == label.encode()

    def fixed(self, n):
        assert len(self.b) >= n
        out, self.b = self.b[:n], self.b[n:]
        return out

    def u32(self): return struct.unpack(">I", self.fixed(4))[0]
    def u64(self): return struct.unpack(">Q", self.fixed(8))[0]
    def var(self): return self.fixed(self.u32())


def statement(label, *fields): return var(label.encode()) + b"".join(fields)


# Record and announcement.
record, announcement = bytes.fromhex(v["record"]), bytes.fromhex(v["announcement"])
assert sha(record).hex() == v["record_hash"]
letters = base64.b32encode(sha(record)[:20]).decode().lower()
assert "-".join(letters[i:i + 4] for i in range(0, 32, 4)) == v["fingerprint"]
r = Reader(record, "sotto/committee/v1")
name, t, c, preset, roster = r.var(), r.u64(), r.u64(), r.var(), r.var()
members = [(r.var(), r.fixed(32)) for _ in range(r.u32())]
vouchers = [(r.var(), r.fixed(32)) for _ in range(r.u32())]
assert not r.b and (t, c, roster) == (2, 0, b"pinned") and len(members) == 3 and vouchers == sorted(vouchers)
a = Reader(announcement, "sotto/announcement/v1")
version, run, rnd, attempt = a.u64(), a.var(), a.u64(), a.u64()
model, task, contract, rec, ledger = (a.fixed(32) for _ in range(5))
goal, deadline = a.u64(), a.u64()
assert not a.b and rec == sha(record) and sha(announcement).hex() == v["announcement_hash"]
seed = sha(statement("sotto/public-seed/v1", u64(version), var(run), u64(rnd), model, ledger, rec, contract))
assert seed.hex() == v["public_seed"]

# Splitting.
N, primes = v["n"], v["primes"]


def chacha20(key, nonce, length):
    """The key stream of RFC 8439, section 2.4, from block 1 on."""
    def quarter(x, a, b, c, d):
        for to, by, other, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[to] = (x[to] + x[by]) & 0xffffffff
            y = x[other] ^ x[to]
            x[other] = (y << turn | y >> (32 - turn)) & 0xffffffff

    out = b""
    for block in range(1, 1 + -(-length // 64)):
        start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", block) + nonce))
        x = start[:]
        for _ in range(10):
            for i in range(4):
                quarter(x, i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        out += struct.pack("<16I", *((a + b) & 0xffffffff for a, b in zip(x, start)))
    return out[:length]


def expand(seed):
    out = []
    for j, p in enumerate(primes):
        size, bits = (p.bit_length() + 7) // 8, p.bit_length()
        key, got, n = sha(b"sotto/share/v1\0" + seed + bytes([j])), [], 0
        while len(got) < N:
            stream = chacha20(key, struct.pack("<QI", n, 0), 512 * size)
            words = (int.from_bytes(stream[i:i + size], "little") & ((1 << bits) - 1) for i in range(0, len(stream), size))
            got += [w for w in words if w < p]
            n += 1
        out += got[:N]
    return out


def pack(x):
    n = at = 0
    for i, r in enumerate(x):
        n |= r << at
        at += primes[i // N].bit_length()
    return n.to_bytes((at + 7) // 8, "little")


def unpack(b):
    n, at, out = int.from_bytes(b, "little"), 0, []
    for i in range(N * len(primes)):
        bits = primes[i // N].bit_length()
        out.append(n >> at & ((1 << bits) - 1))
        at += bits
    return out


s = v["split"]
first = expand(bytes.fromhex(s["share_1_seed"]))
assert s["randomness"] == s["share_1_seed"]
line = lambda x: [(k + x * (f - k)) % primes[i // N] for i, (k, f) in enumerate(zip(s["secret"], first))]
assert line(2) == s["share_2"] and line(3) == s["share_3"] and pack(line(3)).hex() == s["share_3_packed"]
plain = bytes.fromhex(s["share_3_salt"]) + pack(line(3))
assert sha(statement("sotto/share-commitment/v1", u64(3), var(plain))).hex() == s["share_3_commitment"]

# Headers, the info of their boxes, the set, and the sum.
hashes, total = [], [0] * (N * len(primes))
for client in v["clients"]:
    header = bytes.fromhex(client["header"])
    assert sha(header).hex() == client["header_hash"]
    h = Reader(header, "sotto/header/v1")
    told, who, key, work, weight, mode = h.fixed(32), h.var(), h.fixed(32), h.u64(), h.u64(), h.var()
    ciphertext, shares = h.fixed(32), [(h.fixed(32), h.fixed(32)) for _ in range(h.u32())]
    voucher, until, word, signature = h.var(), h.u64(), h.fixed(64), h.fixed(64)
    assert not h.b and told == sha(announcement) and len(shares) == 3
    assert sha(bytes.fromhex(client["box"])) == shares[v["point"] - 1][1]
    holder = members[v["point"] - 1]
    info = statement("sotto/box/v1", told, var(who), key, u64(work), u64(weight), var(mode), var(holder[0]), holder[1], u64(v["point"]))
    assert info.hex() == client["box_info"]
    hashes.append((who, sha(header)))
    total = [(x + y) % primes[i // N] for i, (x, y) in enumerate(zip(total, client["share"]))]
assert hashes == sorted(hashes)
count = lambda n: struct.pack(">I", n)
the_set = sha(statement("sotto/set/v1", sha(announcement), count(1), count(len(hashes)), *(x for _, x in hashes)))
assert the_set.hex() == v["set_hash"]
answer = Reader(bytes.fromhex(v["answer"]), "sotto/answer/v1")
assert answer.fixed(32) == the_set and answer.u64() == v["point"] and answer.u32() == 1
assert unpack(answer.fixed(len(pack(total)))) == total
print("ok")
