package rpc

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What gRPC says of a connection that could not be made becomes a reason that can be read.
func TestUnreachable(t *testing.T) {
	err := outcome(status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:7443: connect: connection refused"`))
	if want := "the server cannot be reached: connection refused"; !errors.Is(err, ErrUnreachable) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
