// Package benchmarks measures training. docs/performance.md says what the figures
// mean and how to get them again; torch.py compares with PyTorch.
package benchmarks
