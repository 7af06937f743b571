package rpc

import (
	"context"

	"github.com/rs/zerolog"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
	"github.com/sotto-fl/sotto/server/identity"
)

type enrolment struct {
	pb.UnimplementedEnrolmentServer
	authority *identity.Authority
}

func (e *enrolment) Join(ctx context.Context, r *pb.JoinRequest) (*pb.JoinResponse, error) {
	if err := checkVersion(r.GetProtocolVersion()); err != nil {
		return nil, err
	}
	cert, err := e.authority.Redeem(ctx, r.GetSecret(), r.GetCertificateRequest())
	if err != nil {
		return nil, err
	}
	zerolog.Ctx(ctx).Info().Str("client", cert.Subject.CommonName).Msg("client joined")
	return &pb.JoinResponse{
		Certificate: cert.Raw,
		Authority:   e.authority.Certificate(),
		NotAfter:    timestamppb.New(cert.NotAfter),
	}, nil
}

func (e *enrolment) Renew(ctx context.Context, r *pb.RenewRequest) (*pb.RenewResponse, error) {
	if err := checkVersion(r.GetProtocolVersion()); err != nil {
		return nil, err
	}
	p, _ := peer.FromContext(ctx) // the guard has seen a verified certificate
	current := p.AuthInfo.(credentials.TLSInfo).State.VerifiedChains[0][0]
	cert, err := e.authority.Renew(ctx, current, r.GetCertificateRequest())
	if err != nil {
		return nil, err
	}
	zerolog.Ctx(ctx).Info().Str("client", caller(ctx)).Msg("certificate renewed")
	return &pb.RenewResponse{Certificate: cert.Raw, NotAfter: timestamppb.New(cert.NotAfter)}, nil
}
