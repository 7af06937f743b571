package rpc

import (
	"context"
	"fmt"

	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/privacy/ledger"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// maxProof bounds a proof: a tree of 2^62 records has 62 levels, and a consistency
// proof at most one hash more.
const maxProof = 64

// Ledger implements books.Source. What it returns is as the server sent it, of bounded
// size and not yet checked.
func (c *Client) Ledger(ctx context.Context, seen int64, plan bool) (ledger.Shown, error) {
	m, err := pb.NewFederationClient(c.conn).Ledger(ctx, &pb.LedgerRequest{ProtocolVersion: pb.Version, Seen: uint64(max(seen, 0)), Plan: plan})
	if err != nil {
		return ledger.Shown{}, c.conn.outcome(err)
	}
	out := ledger.Shown{Key: m.GetKey(), Checkpoint: string(m.GetCheckpoint())}
	for _, b := range m.GetClosed() {
		out.Closed = append(out.Closed, string(b))
	}
	if out.Consistency, err = proofFrom(m.GetConsistency()); err != nil {
		return ledger.Shown{}, err
	}
	if out.Reservation, err = leafFrom(m.GetReservation()); err != nil {
		return ledger.Shown{}, err
	}
	out.Plan, err = leafFrom(m.GetPlan())
	return out, err
}

func leafFrom(m *pb.LedgerRecord) (ledger.Leaf, error) {
	proof, err := proofFrom(m.GetProof())
	return ledger.Leaf{Record: string(m.GetRecord()), Proof: proof}, err
}

func proofFrom(hashes [][]byte) ([]ledger.Hash, error) {
	if len(hashes) > maxProof {
		return nil, fmt.Errorf("%w: a proof of %d hashes, want at most %d", participant.ErrRefused, len(hashes), maxProof)
	}
	out := make([]ledger.Hash, len(hashes))
	for i, h := range hashes {
		if len(h) != len(out[i]) {
			return nil, fmt.Errorf("%w: a hash of %d bytes in a proof, want %d", participant.ErrRefused, len(h), len(out[i]))
		}
		out[i] = ledger.Hash(h)
	}
	return out, nil
}
