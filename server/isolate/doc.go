// Package isolate finds clients that spoil sums, without ever opening one client.
//
// A client that encrypts under another key than it shares makes the sum over its whole
// group unreadable, and from outside nobody can tell which client it was. After such a
// round the next ones run in disjoint groups of random clients ([State.Split]), none
// smaller than a sum may be; the groups that open still move the model. Every group that
// does not open has a culprit in it, and culprits are those whom all such groups have in
// common ([State.Learn]): with k groups a round each spoiled round leaves a k-th of the
// suspects, so that one client spoils at most 1 + ceil(log_k n) rounds. A client that
// spoils now and then gains nothing, for a group that opens clears nobody; it merely
// does not count.
//
// What this rests on: a group counts only if so many key holders answered that t honest
// ones are among them, or a lying holder could have clients excluded (see [Result]); and
// no more than [Rules].Culprits clients work together. More of them can have an honest
// one excluded, by spoiling in turns whatever group it is in.
//
// The package is pure: no clock, disk or network, and randomness comes from outside.
// Group testing of this kind is due to Dorfman, "The detection of defective members of
// large populations", 1943; here tests are rounds, and a test may lie in one direction.
package isolate
