// Package carbon holds the intensity of electricity over time, in grams of CO2
// equivalent per kilowatt-hour, as forecast or measured.
//
// There are two signals that must never meet in one sum: the average intensity of
// what a grid supplies, which reports use (ISO/IEC 21031:2024), and the marginal one
// of what it would supply in addition. They are types of their own here: a
// Series[Average] cannot stand where a Series[Marginal] is wanted, and Read refuses a
// file that says it is the other.
//
// The package is pure: readers come from outside, and there is no clock.
package carbon
