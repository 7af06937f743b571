// Package rpc puts a coordinator and an authority on the network: gRPC over
// TLS 1.3, and nothing else. It is the only place on the server with wire types
// and status codes.
//
// Who is calling is read from the verified client certificate, checked against
// revocation on every call; only Enrolment.Join is answered without one. Every
// size is checked before memory is taken, uploads share a fixed number of
// buffers, and a panic in one call is that call's error.
package rpc
