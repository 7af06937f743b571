package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sotto-fl/sotto/client/identity"
	"github.com/sotto-fl/sotto/client/rpc"
	"github.com/sotto-fl/sotto/internal/config"
)

// explain words what kept a client from its server for the data holder, with
// what to do about it. Other errors it returns as they are.
func explain(err error, address string) error {
	var resolve *net.DNSError
	var number syscall.Errno
	var untrusted *tls.CertificateVerificationError
	unreachable := func(why any) error {
		return config.WithHint(fmt.Errorf("cannot reach %s: %v", address, why),
			"is the server up (its operator runs `server serve`), and may this machine connect to it?")
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &resolve):
		return unreachable("no such host")
	case errors.Is(err, rpc.ErrUnreachable):
		return unreachable(strings.TrimPrefix(err.Error(), rpc.ErrUnreachable.Error()+": "))
	case errors.Is(err, context.DeadlineExceeded):
		return unreachable("no answer in time")
	case errors.As(err, &untrusted), errors.Is(err, identity.ErrWrongAuthority):
		return config.WithHint(fmt.Errorf("the server at %s is not the one that invited this client: its certificate is of another authority", address),
			"check the address with the server's operator; if the server was set up anew, ask for a new invitation")
	case errors.As(err, &number) && isNetwork(err):
		return unreachable(number)
	}
	return err
}

func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// missing words a folder that is not there.
func missing(flag, path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("no such folder")
	}
	return config.WithHint(fmt.Errorf("%s %s: %w", flag, filepath.Clean(path), err), "give the folder of your images with -data")
}
