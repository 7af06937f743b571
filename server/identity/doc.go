// Package identity decides who may talk to a server: a certificate authority of
// its own, invitations that work once, renewal and revocation.
//
// It is not a general authority: it signs one server certificate at Init and
// client certificates afterwards, Ed25519 throughout (RFC 8410), for names that
// someone invited. A client's private key is made by the client and never seen
// here.
//
// Invariants: a certificate is accepted only if its serial number is in the
// database and not revoked, so copies of the CA key alone admit nobody; an
// invitation is stored only as the hash of its secret; invitation and
// certificate change hands in one transaction, so a crash leaves neither a burnt
// invitation without a member nor the reverse.
//
// The state is an SQLite database beside the keys. `invite` and `revoke` work
// while another process serves; they take effect at the next call of a client.
package identity
