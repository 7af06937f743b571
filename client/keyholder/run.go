package keyholder

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
)

// Run serves until the run is finished (nil), ctx ends, the server refuses the
// holder for good, or the journal can no longer be written. Everything else is
// retried with jittered backoff.
func (h *Holder) Run(ctx context.Context, s Server) error {
	log := zerolog.Ctx(ctx)
	failures, heads := 0, false
	for {
		err := error(nil)
		if !heads {
			err = h.catchUp(ctx, s)
			heads = err == nil
		} else {
			err = h.serve(ctx, s)
		}
		switch {
		case err == nil:
			failures = 0
			continue
		case errors.Is(err, ErrFinished):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrRefused), errors.Is(err, errBroken), h.journal.broken:
			return err
		}
		failures++
		wait := backoff(failures)
		log.Warn().Err(err).Dur("retry_in", wait).Msg("server not reached")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// backoff grows from half a second to half a minute, with full jitter, so that
// holders do not return in step after an outage.
func backoff(n int) time.Duration {
	limit := 30 * time.Second
	if n < 7 {
		limit = min(limit, 500*time.Millisecond<<n)
	}
	return limit/10 + time.Duration(rand.Int64N(int64(limit)))
}

// catchUp closes the rounds that the ledger knows of and the journal does not: the
// holder was away, or its journal is an old copy.
func (h *Holder) catchUp(ctx context.Context, s Server) error {
	heads, err := s.Heads(ctx)
	if err != nil {
		return err
	}
	for _, head := range heads {
		if floor := h.memory.vows.Floor(head.Run); head.Round > floor {
			zerolog.Ctx(ctx).Warn().Str("run", head.Run).Uint64("round", head.Round).Uint64("journal", floor).
				Msg("rounds closed that this journal has no part in; if this holder signed in them, the journal is an old copy")
			if err := h.raise(head); err != nil {
				return fmt.Errorf("close rounds up to the ledger's head: %w", err)
			}
		}
	}
	return nil
}

// serve does one task.
func (h *Holder) serve(ctx context.Context, s Server) error {
	task, err := s.NextTask(ctx)
	if err != nil {
		return err
	}
	log := zerolog.Ctx(ctx)
	declined := func(what string, reason error) error {
		log.Warn().Err(reason).Str("task", what).Msg("task declined")
		if h.journal.broken {
			return reason
		}
		return s.Decline(ctx, reason)
	}
	switch t := task.(type) {
	case KeysWanted:
		keys, err := h.Keys(t)
		if err != nil {
			return declined("keys", err)
		}
		return s.PublishKeys(ctx, keys)
	case Proposal:
		v, err := h.Look(t)
		if err != nil {
			return err
		}
		if !v.Yes() {
			log.Warn().Str("run", t.Set.Announcement.Run).Uint64("round", t.Set.Announcement.Round).
				Str("reason", v.Refusal).Int("objections", len(v.Objections)).Msg("set refused")
		}
		return s.Verdict(ctx, v)
	case SignatureWanted:
		signature, err := h.Sign(t)
		if err != nil {
			return declined("signature", err)
		}
		log.Info().Str("run", t.Run).Uint64("round", t.Round).Hex("set", t.Set[:8]).Msg("set signed")
		return s.Signature(ctx, signature)
	case Certificate:
		answer, err := h.Answer(t)
		if err != nil {
			return declined("answer", err)
		}
		return s.Answer(ctx, answer)
	case ClosureWanted:
		closure, err := h.Forswear(t)
		if err != nil {
			return declined("closure", err)
		}
		log.Info().Str("run", t.Run).Uint64("round", t.Round).Msg("round closed for ever")
		return s.Closure(ctx, closure)
	}
	return declined("unknown", fmt.Errorf("%w: task of type %T", keyshare.ErrSet, task))
}
