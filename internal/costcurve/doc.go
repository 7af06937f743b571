// Package costcurve is the vocabulary in which energy is asked for and answered:
// what a device's work costs it, what the server offers for it, and what the
// device then does. Client, scheduler and simulated fleet all speak it.
//
// A Device has power modes, a link and a battery. Its Curve is C(x), the least
// energy for x tasks within a deadline, with mode and work chosen together. When
// modes may change inside a round, C is convex and piecewise linear with at most
// one piece per mode; when they may not, it is a Table without such structure.
// "Slowest is cheapest" is not assumed: static power makes joules per task
// U-shaped in the clock frequency, and modes that are slower and dearer than a
// blend of two others are never used.
//
// A Price is posted to everyone before any coin is tossed, and Respond answers it
// from one device's own curve and own history alone. By Everett (1963),
// "Generalized Lagrange multiplier method for solving problems of optimum
// allocation of resources", the answers together are a least-energy allocation of
// the total that they happen to realise.
//
// The package is pure: no clock, no randomness, no I/O, no goroutine. Everything
// in it is a value; functions do not keep what they are given, and results do not
// alias their arguments unless a function says so. Every number that comes from
// another machine passes Validate or a decoder before it is used.
//
// Tasks are the unit of work: equal, indivisible to the scheduler (a sample or a
// mini-batch). Energy is in joules, power in watts, time in seconds, data in bytes.
package costcurve

import "errors"

var (
	// ErrInvalid: a value is not finite, is negative, or is beyond a stated bound.
	ErrInvalid = errors.New("invalid energy figures")

	// ErrNotConvex: a curve that must be convex has a cheaper task after a dearer one.
	ErrNotConvex = errors.New("curve is not convex")

	// ErrNoTime: the device cannot finish one task, or not even the transfers, in time.
	ErrNoTime = errors.New("deadline leaves no time for work")

	// ErrNoBattery: the battery above its reserve does not pay for taking part.
	ErrNoBattery = errors.New("battery does not cover the round")

	// ErrImplausible: a declared curve lies outside what its device class allows.
	ErrImplausible = errors.New("declared curve is implausible for its class")

	// ErrEncoding: bytes are not the canonical encoding of a value.
	ErrEncoding = errors.New("not a canonical encoding")
)

// Bounds on what is accepted from outside. They keep every sum over four million
// clients finite in float64 and inside int64.
const (
	MaxTasks    = 1 << 40 // of one client in one round
	MaxJoules   = 1e15    // any single energy figure; a year of a gigawatt is 3e16
	MaxSeconds  = 1e9     // any single time; thirty years
	MaxWatts    = 1e9
	MaxModes    = 64
	MaxSegments = 2*MaxModes + 2
	MaxOptions  = 1 << 20 // entries of one Table
	MaxName     = 64      // bytes of a mode's name
)
