// Package nn turns an Architecture into a Network that computes outputs,
// losses and gradients on flat slices.
//
// It does not know how weights are updated (optim does; Train hands them to it), read data (dataset), or run epochs
// (train).
//
// # Architectures
//
// An Architecture is data: a name, the input shape and a list of layers. Four
// come with the package (see Named); others are read from YAML:
//
//	name: tiny-cnn
//	input: {channels: 1, height: 28, width: 28}
//	layers:
//	  - {kind: conv2d, out: 8, kernel: 5, stride: 2, padding: 2}
//	  - {kind: group_norm, groups: 4}
//	  - {kind: relu}
//	  - {kind: max_pool, window: 2}
//	  - {kind: flatten}
//	  - {kind: dense, out: 10}
//
// The kinds and their fields:
//
//	conv2d      out (channels), kernel, stride (default 1), padding (default 0)
//	max_pool    window, stride (default: the window)
//	avg_pool    window, stride (default: the window)
//	dense       out (features); its input must be flat
//	group_norm  groups; epsilon is 1e-5, as in PyTorch
//	relu, tanh, flatten
//	scattering  scales, angles: first-order wavelet features, nothing to train
//	standardize groups: group_norm with nothing to train
//
// The last two stand before all others: gradients do not pass them, and what they make of an
// image never changes, so that it may be kept (see Split). Kernels and windows are square. The last layer must be dense; its outputs
// are the class scores, and the loss is softmax cross-entropy. A field that a
// kind does not have, an unknown key, or a size beyond the bounds in this
// package is an error that names the layer.
//
// # Two orders of parameters
//
// Outside, parameters are in the canonical order of model.Layout: PyTorch's
// names and shapes (conv1.weight, fc1.bias, ...), so a checkpoint loads there.
// Inside, a Network keeps activations as (batch, height, width, channel) and
// orders weights to match, so that no layer has to rearrange what it reads.
// Import and Export convert. Weights and Grads expose the inner order:
// element-wise arithmetic is all that is meaningful on them, and they must not be
// stored, sent, or mixed with another Network's of another kernel path.
//
// # Clipped gradients
//
// For DP-SGD, ClippedSum adds up gradients of single examples, or of groups of
// them, each clipped to an L2 norm; ClippedUnits hands them over one by one. Both
// come from one forward and one backward pass over the batch.
//
// # Invariants
//
// A Network allocates only in New, SetWorkers and the first clipped gradient. Equal
// inputs give equal bits on one kernel path (see kernel.Name), whatever the number
// of workers: a batch is cut into chunks that depend on its size alone, and their
// gradients are added in order. A Network is not safe for concurrent use.
package nn
