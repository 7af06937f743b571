// Package accountant turns a description of what was released into a privacy guarantee that can be defended.
//
// An Event says what happened: a Gaussian sum, a Poisson sample of one, a composition. An Accountant answers, for an
// event, which epsilon holds at a delta or which delta at an epsilon. Every answer is an interval: no true value lies
// above Upper, none below Lower; Estimate is the best single number and is never to be published as a guarantee.
// What an accountant cannot defend is ErrUnsupported, never a number.
//
//	rdp    Rényi DP over a grid of orders; upper bounds only
//	zcdp   concentrated DP of unsampled events; upper bounds only
//	gdp    Gaussian DP of unsampled Gaussian events; exact
//	exact  the same events and one-dimensional discrete Gaussians; exact
//	pld    privacy loss distributions by Fourier transform; both bounds, the tightest for sampled events
//
// The package is arithmetic only. It draws no noise, keeps no ledger, logs nothing, and reads neither clock nor file. Functions are pure,
// deterministic, and safe for concurrent use; results are the same bits for every order of composition.
//
// Unless Adjacency says otherwise, neighbours differ by one unit (record, group or client) whose contribution becomes
// zero, with everything else, sizes and metadata included, unchanged. A noise multiplier is the standard deviation of
// the noise over the L2 sensitivity under that adjacency.
//
// docs/privacy.md, sections Accounting and Proofs, holds the arguments that the code relies on.
package accountant
