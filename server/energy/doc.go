// Package energy is what a server knows about the energy of its clients: the cost curves
// that they offer, bounded so that a lie moves little, and what a round cost by public
// orders, as joules by who spent them and as grams of CO2e.
//
// It is pure: no clock, no randomness, no I/O. Joules of clients are above idle and
// modelled: the order, priced by the curve that the client offered. Their tier is the
// offer's, never better than a power profile.
package energy
