// Package privacy holds the contract of a run: what is protected, against whom, by how much noise,
// and every number that follows from it.
//
// A [Contract] is written by whoever sets up the run, signed by the server, and accepted by every
// client before it trains. [Contract.Derive] turns it into the integers that the other packages
// work with: sensitivity, noise share, clamp, field width, batch cap. [Contract.Plan] says
// what will be released as accountant events, one row for each adversary. Nothing has a
// silent default: a field that matters and is missing is refused, with the reason and the fix.
//
// The package draws no noise (privacy/noise), touches no update (privacy/privatise), computes no
// epsilon (privacy/accountant) and writes no ledger (privacy/ledger). It is pure and
// safe for concurrent use.
//
// Invariants: the noise that is charged is what min_cohort - colluders owners add, never what
// more add; the sensitivity that is charged includes rounding and floating-point error;
// divisors are constants of the contract. docs/privacy.md has the arguments.
package privacy
