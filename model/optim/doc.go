// Package optim holds the client's side of optimisation: SGD, Adam and AdamW as
// PyTorch defines them, the FedProx term, learning-rate schedules and early
// stopping.
//
// An [Optimizer] works element by element on float32 slices, so that the order
// of the parameters does not matter to it, and allocates nothing after New. It
// is deterministic. A [Schedule] and an [EarlyStopping] are pure functions of
// what has happened so far: a restarted run needs no state of theirs.
//
// It is not the server's step on the mean update (aggregation/serveropt).
package optim
