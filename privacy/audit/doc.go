// Package audit is the statistics by which a build is checked against the privacy that its contract
// promises: tests of conformance, which know the build's secrets, and empirical lower bounds and estimates
// of epsilon, which see what an adversary sees.
//
// Conformance tests compare samples of noise, batches and neighbouring outputs with what was planned. Each
// has a stated probability of accusing a correct build ([FalseAlarm]) and names what it saw ([Failure]).
//
// [LowerBound] is the one-run audit of Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846); [OneShot] is
// the estimate of Andrew and others 2023 (arXiv:2302.03098), which is no bound.
//
// The package trains nothing, draws nothing and knows no pipeline: simulations/audit runs one. No test here proves
// privacy; docs/privacy.md, "Audits", says what each cannot see. All functions are pure,
// deterministic and safe for concurrent use, and change none of their arguments but where they say so.
package audit
