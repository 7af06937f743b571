// Package energy measures what work costs the device that it runs on.
//
// A Meter has one source, the best that the system offers, and a model behind it:
// what the source cannot say for some interval is modelled, and the reading then
// carries the model's tier. No joule leaves the package without its tier, its relative
// error, its phase and the name of its source.
//
// Sources, in order of choice:
//
//   - INA3221 monitors of Jetson boards: the rail that feeds the module, or else the
//     sum of rails known to lie side by side. Rails below a total are not added to it.
//   - RAPL through powercap. Zones of one level are added (two packages), levels never
//     (a platform holds its packages, a package its cores): the largest level counts.
//     Memory zones are left out, because whether a package holds them differs between
//     models. intel-rapl-mmio shows the same counters again and is ignored.
//   - hwmon: an ACPI power meter (the whole machine), or AMD's socket counters.
//   - The battery, while it discharges.
//   - A model: idle power, plus what is above it times the share of processors at work.
//     Its figures come from a device profile, from the processor's power limit, or
//     from a default.
//
// All but the model cover the whole machine and not this process alone: on a machine
// that does other work as well, readings are too high. They include idle power;
// Reading.AboveIdle takes it off. Nothing here accesses the network, and whether a
// reading may leave the client is for the contract to say, not for this package.
//
// Files are read through an fs.FS that shows /sys, time through a function: tests run
// on recorded trees. A Meter is for one goroutine.
package energy
