// Package keyshare lets t of m key holders, and nobody else, give out the sum of
// the one-time keys of a set of uploads, once.
//
// A client splits the fresh key of its upload (Shamir, CACM 22(11), 1979,
// coefficient-wise modulo each prime of the ring) and seals one share to each key
// holder with HPKE (RFC 9180) under MLKEM768-X25519. The sealing binds everything
// that the upload is about: announcement, order, client, holder, point. The server
// proposes a [Set]; each holder checks it, opens its boxes and adds its shares
// ([Collector]); t holders sign one set; only then do they release their sums
// ([Answer]); t sums give the sum of the keys ([Reconstruct]).
//
// # What it promises
//
// Of the keys of an upload that no certified set contains, server and c corrupt
// holders learn nothing; of those in a certified set, their sum. At most one set is
// certified in a round because a [Record] satisfies 2t > m + c: two sets of t
// signers share more than c holders, an honest one among them, and it signs once.
// The last part is kept by the caller: see [Vows].
//
// With t-1 of the shares expanded from seeds, secrecy below t rests on ChaCha20 as
// a pseudorandom generator; in the plain scheme it would be perfect.
//
// # What it is not
//
// It encrypts no vector (package kahe does), keeps no journal (client/keyholder
// does), and has no clock, disk or network: the time and randomness are arguments.
// One exception: crypto/hpke draws the ephemeral keys of Seal from the operating
// system itself.
//
// No answer carries noise and no share is weighted by the active set, so that the
// attacks on threshold decryption of eprint 2025/409 and 2026/031 have no target.
package keyshare
