package keyshare

import "errors"

// What callers branch on. Everything that this package returns about foreign input
// wraps one of these, statement.ErrMalformed or statement.ErrSignature.
var (
	ErrRing         = errors.New("ring is not usable")
	ErrRecord       = errors.New("committee record is not valid")
	ErrOtherRecord  = errors.New("made for another committee record")
	ErrAnnouncement = errors.New("announcement is not acceptable")
	ErrRoundKey     = errors.New("round keys are not those of the committee for this round")
	ErrVouch        = errors.New("no voucher of the record stands for the client")
	ErrBox          = errors.New("sealed share is not the one that the client signed")
	ErrSealed       = errors.New("sealed share does not open under this client, round and holder")
	ErrShare        = errors.New("share is not the one that the client committed to")
	ErrSet          = errors.New("set is malformed")
	ErrTooFew       = errors.New("group is smaller than contract or policy allows")
	ErrSecondSet    = errors.New("already signed another set in this round")
	ErrSpent        = errors.New("round is not later than what this holder has closed")
	ErrCertificate  = errors.New("set is not certified by enough key holders")
	ErrAnswer       = errors.New("answer is not usable")
	ErrInconsistent = errors.New("no choice of answers opens the sum")
)
