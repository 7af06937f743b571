// Package keyholder is one member of a committee: it makes keys for rounds, looks at
// the sets that the server proposes, signs one set a round, and releases its sum of
// shares for the set that enough members have signed.
//
// What it decides is in aggregation/keyshare, which is pure. This package adds what
// must last: a journal, the private keys of rounds to come, and the sums not yet
// released. The order of its writes is the promise:
//
//   - A public key is sent after its private key and a journal entry are on disk.
//   - A signature is sent after the sum, then the journal entry that names the set,
//     are on disk. The round's private key, and those of earlier rounds, are erased
//     between entry and signature: from then on not even the holder can open a box.
//   - A sum is sent when t members' signatures on the journalled set are seen, and
//     never for another.
//
// So kill -9 at any moment loses no promise: either no signature left, or the
// journal knows the set. What was sent once is sent again, byte for byte, on request.
//
// A journal that comes back from a backup does not know what was signed since. Keep
// the keys directory out of backups: rounds without a private key can neither be
// opened nor published again. Where everything was rolled back (a snapshot of the
// whole machine), the holder asks the ledger for its newest signature and closes the
// rounds up to it; a server that hides its ledger is stopped only by an operator who
// gives Config.Restored.
//
// Erasing overwrites and removes files. On flash and on copying file systems that is
// a best effort.
package keyholder
