package identity

import "errors"

// Refusals that callers branch on.
var (
	ErrInitialized       = errors.New("already initialised")
	ErrNotInitialized    = errors.New("not initialised: run `server init` first")
	ErrBadName           = errors.New("want 1 to 63 of a-z, 0-9 and '-', not starting with '-'")
	ErrNameTaken         = errors.New("a member of that name exists: revoke it first, or choose another name")
	ErrUnknownInvitation = errors.New("the server does not know this invitation: it was never issued here, or was withdrawn; ask for a new one")
	ErrInvitationUsed    = errors.New("the invitation was used before: each works once; ask for a new one")
	ErrInvitationExpired = errors.New("the invitation has expired; ask for a new one")
	ErrBadRequest        = errors.New("the certificate request cannot be signed")
	ErrNotMember         = errors.New("the certificate belongs to no member of this server")
	ErrRevoked           = errors.New("the certificate was revoked")
)
