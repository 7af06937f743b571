package rpc

import (
	"fmt"
	"math"

	"github.com/sotto-fl/sotto/aggregation"
	"github.com/sotto-fl/sotto/client/participant"
	pb "github.com/sotto-fl/sotto/proto/sotto/v1"
)

// orderFrom checks the form of an order; the participant checks its sense.
func orderFrom(m *pb.Order) (participant.Order, error) {
	bad := func(format string, args ...any) (participant.Order, error) {
		return participant.Order{}, fmt.Errorf("order from the server: "+format, args...)
	}
	if m.GetRound() < 1 || m.GetRound() > math.MaxInt32 || m.GetAttempt() > math.MaxInt32 {
		return bad("round %d, attempt %d", m.GetRound(), m.GetAttempt())
	}
	if len(m.GetTaskSha256()) != 32 || len(m.GetModelSha256()) != 32 {
		return bad("hashes of %d and %d bytes, want 32", len(m.GetTaskSha256()), len(m.GetModelSha256()))
	}
	if m.GetCodec().GetBits() > 64 {
		return bad("codec of %d bits", m.GetCodec().GetBits())
	}
	if err := m.GetDeadline().CheckValid(); err != nil {
		return bad("deadline: %w", err)
	}
	deadline := m.GetDeadline().AsDuration()
	if deadline < 0 {
		return bad("deadline %s", deadline)
	}
	o := participant.Order{
		Run: m.GetRun(), Round: int(m.GetRound()), Attempt: int(m.GetAttempt()),
		Task: m.GetTask(), TaskHash: [32]byte(m.GetTaskSha256()), Model: [32]byte(m.GetModelSha256()),
		Codec:  aggregation.Codec{Bits: int(m.GetCodec().GetBits()), Range: m.GetCodec().GetRange()},
		Epochs: m.GetEpochs(), LR: m.GetLearningRate(), Clip: m.GetClipNorm(), Weight: m.GetWeight(), Deadline: deadline,
	}
	if s := m.GetSealing(); s != nil {
		o.Sealing = &participant.Sealing{Announcement: s.GetAnnouncement(), Terms: s.GetTerms(), Record: s.GetRecord(), Keys: s.GetKeys(), Work: s.GetWork()}
	}
	return o, nil
}
