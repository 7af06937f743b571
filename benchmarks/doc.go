// Package benchmarks measures training. docs/performance.md says what the figures
// mean and how to get them again; compare.py compares with PyTorch.
package benchmarks
