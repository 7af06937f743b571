// Package policy holds ways to choose who works how much and in which mode, behind one
// interface: ours, and those it is compared with.
//
// A policy declares the privacy lanes that it may run in, and Check refuses the others
// with the reason. What a lane allows follows from its claim:
//
//   - privacy none: anything, also a look at losses;
//   - lane A (every client charged every round, no amplification): who, how much, in
//     which mode and when, as long as it does not depend on data;
//   - lane B (amplification by secret coins): no choice of who; the order of each
//     client is a function of public figures and of its own curve and history, so
//     that one client more leaves every other order byte-identical;
//   - distributed DP-SGD: the work is a secret batch; only mode and starting time.
//
// The baselines are re-derived from their papers' descriptions, with the departures
// said at each. Where a paper's policy sees data (losses, accuracy), it runs under
// privacy none alone.
//
// Randomness comes from Round.Rand, and a plan is a function of the round, the
// policy's settings and what it observed before. Policies that learn keep state and
// are not safe for concurrent use.
package policy
