// Package ledger keeps, in a form that cannot be changed afterwards without being seen, what a run promised about privacy
// and what it spent.
//
// A ledger is a list of records. Record i is leaf i of the Merkle tree of golang.org/x/mod/sumdb/tlog (RFC 6962), and each
// record is followed by a checkpoint: size and root of the tree, signed with Ed25519 as a golang.org/x/mod/sumdb/note. All
// of it is one append-only file that anyone can check with Verify, the public key, and nothing else.
//
// The order of records is a promise, kept by Ledger when it appends and checked again by Verify:
//
//   - plan comes first: the contract, the privacy event of a round, and epsilon after so many rounds, all before round 1;
//   - reserve comes before a round's cohort is drawn, and is refused if the budget would not bear the round;
//   - certified comes before any key holder is asked to sign: from here on the round is spent;
//   - commit follows with noise and set as certified, or void, which after certified is charged all the same;
//   - closed gives a reservation back, on the signatures of enough key holders that they will never open that round.
//
// So a ledger never claims less than was released: a crash at any moment leaves at least a reservation, and Claim counts
// reservations as spent. Epsilon spent never goes down.
//
// A data holder has a ledger of the same form (Data): every upload of every run that touched its data, its own
// budget over all of them, and the last checkpoint seen of each server, which makes it a witness against rollback and
// split views.
//
// What a ledger does not prove: that the program that wrote it was the one it names, that clients added their noise, or
// that a server shows everyone the same ledger. docs/auditors.md says what answers each of these.
//
// The package is pure: time, keys, randomness and storage come from outside. A Ledger is safe for concurrent use; values
// returned by it are the caller's.
package ledger
