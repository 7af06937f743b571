// Package store keeps what a server must not lose: the newest state of its run,
// the history of its rounds, and a checkpoint file for each.
//
// The truth is one SQLite database: parameters, optimiser state, history and the
// attempt that was open, changed in one transaction per event and durable when a
// call returns. Checkpoint files are copies for people; they are written after
// the commit, never before, so that nothing of an uncommitted round is ever
// readable, and the newest is written again at Open if a crash prevented it.
//
// Invariants: Latest returns a state that was committed whole, or an error, never
// a mixture; parameters that do not match the SHA-256 stored with them are
// refused; one process at a time holds a directory.
package store
