package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/sotto-fl/sotto/client/identity"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// Join trades an invitation for an identity, which it stores in dir. Before the
// secret is sent, the server has proved that it is the one that issued the
// invitation (else identity.ErrWrongAuthority). After an interruption, Join may be
// called again with the same invitation and dir. Refusals: ErrInvitationUnknown,
// ErrInvitationUsed, ErrInvitationExpired, ErrNameTaken, identity.ErrJoined.
func Join(ctx context.Context, inv identity.Invitation, dir string) (*identity.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ca, err := identity.FetchAuthority(ctx, inv)
	if err != nil {
		return nil, err
	}
	pending, err := identity.Prepare(dir)
	if err != nil {
		return nil, err
	}
	request, err := pending.Request(inv.Name)
	if err != nil {
		return nil, fmt.Errorf("make the certificate request: %w", err)
	}
	conn, err := dial(inv.Address, identity.AuthorityTLS(ca, inv.Address))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer, err := pb.NewEnrolmentClient(conn).Join(ctx, &pb.JoinRequest{
		ProtocolVersion: pb.Version, Secret: inv.Secret[:], CertificateRequest: request,
	})
	if err != nil {
		return nil, fmt.Errorf("join as %s: %w", inv.Name, conn.outcome(err))
	}
	id, err := pending.Complete(dir, inv.Address, ca, answer.GetCertificate())
	if err != nil {
		return nil, err
	}
	if id.Name != inv.Name {
		return nil, fmt.Errorf("the server certified the name %q instead of %q: ask its operator", id.Name, inv.Name)
	}
	return id, nil
}

// Reach connects to the server with the identity's certificate and returns why
// that does not work, if so. It asks for nothing.
func Reach(ctx context.Context, id *identity.Identity) error {
	conn, err := dial(id.Address, id.TLS())
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.reach(ctx)
}

// renew gets a fresh certificate for a new key over a connection that was made
// with the old one, and stores both in dir.
func renew(ctx context.Context, conn grpc.ClientConnInterface, id *identity.Identity, dir string) (*identity.Identity, error) {
	pending, err := identity.NewPending()
	if err != nil {
		return nil, err
	}
	request, err := pending.Request(id.Name)
	if err != nil {
		return nil, fmt.Errorf("make the certificate request: %w", err)
	}
	answer, err := pb.NewEnrolmentClient(conn).Renew(ctx, &pb.RenewRequest{ProtocolVersion: pb.Version, CertificateRequest: request})
	if err != nil {
		return nil, outcome(err)
	}
	fresh, err := pending.Complete(dir, id.Address, id.Authority(), answer.GetCertificate())
	if err == nil && fresh.Name != id.Name {
		err = errors.New("the server renewed another name's certificate")
	}
	return fresh, err
}
