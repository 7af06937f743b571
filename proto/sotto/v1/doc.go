// Package sottov1 is the wire contract between server and clients, version 1,
// and the code generated from it. Only server/rpc and client/rpc import it.
//
// Compatibility: fields are only ever added; a change that an older peer would
// misread takes a new Version, which the server refuses by name. Messages are
// never signed or hashed in this form: protobuf has no canonical bytes.
//
// Everything large travels as a header and chunks of at most MaxChunk bytes, and
// both sides know the exact total before they allocate.
package sottov1

//go:generate protoc -I ../.. --go_out=../.. --go_opt=paths=source_relative --go-grpc_out=../.. --go-grpc_opt=paths=source_relative sotto/v1/enrolment.proto sotto/v1/federation.proto sotto/v1/committee.proto

const (
	// Version is the protocol version in the first message of every call.
	Version = 1

	// MaxChunk is the largest chunk of a model or a report, in bytes. It is small
	// against gRPC's flow-control windows and large against its framing.
	MaxChunk = 256 << 10

	// OfferHeader is the header of Attend that says what a client may tell of its device.
	OfferHeader = "sotto-offer"
	OfferNone   = "none"   // nothing
	OfferCurve  = "curve"  // what was calibrated
	OfferDevice = "device" // also the state of battery and connection

	// Reason domain and reasons of refused calls travel in google.rpc.ErrorInfo, so
	// that a client can tell outcomes apart that share a status code.
	ReasonDomain = "sotto-fl.github.io"

	ReasonFinished          = "FINISHED"           // the run is over
	ReasonExcluded          = "EXCLUDED"           // the client spoiled sums and is not asked any more
	ReasonSuperseded        = "SUPERSEDED"         // the client connected again elsewhere
	ReasonClosed            = "CLOSED"             // the round, or the attempt at it, is over
	ReasonMalformed         = "MALFORMED"          // the request will never be accepted
	ReasonNotSelected       = "NOT_SELECTED"       // the client is not in the round's cohort
	ReasonDuplicate         = "DUPLICATE"          // another report of the client was accepted
	ReasonHalted            = "HALTED"             // the run waits for its operator
	ReasonNoRecord          = "NO_RECORD"          // the committee is not complete yet
	ReasonBusy              = "BUSY"               // all receive buffers are taken; google.rpc.RetryInfo says when to retry
	ReasonVersion           = "PROTOCOL_VERSION"   // the peers speak different versions
	ReasonNoCertificate     = "NO_CERTIFICATE"     // the call needs a client certificate
	ReasonRevoked           = "REVOKED"            // the certificate was revoked
	ReasonNotMember         = "NOT_MEMBER"         // the certificate is not one the server knows
	ReasonInvitationUnknown = "INVITATION_UNKNOWN" // no such invitation
	ReasonInvitationUsed    = "INVITATION_USED"    // redeemed before, with another key
	ReasonInvitationExpired = "INVITATION_EXPIRED" // past its time
	ReasonNameTaken         = "NAME_TAKEN"         // a member of that name exists
	ReasonBadRequest        = "BAD_REQUEST"        // the certificate request cannot be signed
)
