// Package compare measures what policies of who works how much cost in joules until
// a model is good enough: on the same fleet, data, initial model, absences, losses and
// errors, for each of several seeds.
//
// Training is real: local SGD of every client on its own data, divided by its progress
// (FedNova, Wang et al. 2020, arXiv:2007.07481; see costcurve.Progress), averaged with
// the scenario's weights. Time and energy are virtual: the fleet's curves, with the
// fleet's error around them, priced as the fleet's workload. Rounds do not pass
// through the coordinator, and updates are neither encoded, encrypted nor noised.
//
// Every figure is a function of scenario, fleet, policy and seed; not of the number of
// workers or the machine, but for the kernel path of package model/kernel.
package compare
