// Package round decides what happens in one attempt at one round: which reports
// count, when collecting ends, and whether there is anything to open.
//
// It is a pure state machine. Events and the time go in through Machine.Step,
// effects come out as values, and that is all: no clock, no goroutine, no disk,
// no network, no randomness. The result of an attempt is a function of the timed
// events alone; how often the driver sends a Tick, or how late, changes when an
// effect is seen but never which reports are in the set.
//
// A round collects (PhaseCollect) until
//
//   - goal reports have been accepted, or
//   - every client that has not reported has been absent for the grace time
//     (vacuously so when all have reported), or, once there are Min reports, has
//     had the time that it was given, or
//   - the deadline has come.
//
// It then closes (PhaseClosed) with the sorted set of the clients whose reports
// count, or is void (PhaseVoid) when there are fewer than Min of them. Both are
// final. Reports are accepted at most once a client; what is malformed is
// rejected and may be sent again; what is valid but late or surplus is discarded.
//
// # What the driver owes
//
// Effects are carried out in the order in which Step returns them, and before the
// next call of Step for the same machine:
//
//   - Accept: the update must be in the sum, as durably as the driver keeps sums,
//     BEFORE the client is told. If that fails the attempt must be given up,
//     because the machine counts the report from now on. An attempt that is
//     lost in a crash is started anew, with another Attempt.
//   - Repeat: the report was accepted before. Tell the client so; add nothing.
//   - Reject: tell the client the reason; nothing may have been added, and there is
//     nothing to persist.
//   - WakeAt: send a Tick at that time. It replaces every earlier WakeAt.
//   - Close: the sum holds exactly the reports of Set. Store sum and set BEFORE
//     anybody outside can learn of the set: what follows (proposing it to key
//     holders, opening it, a checkpoint) must survive a crash with the same set.
//   - Void: throw the sum away BEFORE another attempt starts. Nothing of it is
//     published.
//
// The vocabulary (cohort, goal, report window) is that of Bonawitz et al.,
// "Towards Federated Learning at Scale: System Design", 2019, arXiv:1902.01046.
package round
