// Package fleet draws simulated fleets: devices with measured power modes, links,
// batteries, places and habits, as functions of a configuration and a seed.
//
// It is not a measurement. What a device needs for a task is arithmetic on the
// figures of devices.yaml, each of which says where it comes from and how far it can
// be trusted; the joules that come out are of tier costcurve.TierProfile at best.
// The same configuration and seed give the same fleet on every machine, and a
// client's figures do not depend on how many clients there are.
package fleet
