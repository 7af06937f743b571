// Package rpc is the client's end of the wire: it joins, renews, and implements
// participant.Server over gRPC with mutual TLS 1.3. It is the only place on the
// client with wire types and status codes.
//
// It trains nothing and decides nothing about retrying whole calls: that is the
// participant's. The one thing it does by itself is to stay present: while an
// order is being worked on, a broken stream is opened again, so that a short
// outage does not count as a client that left.
package rpc
