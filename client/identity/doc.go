// Package identity is a client's side of joining: it reads an invitation, makes
// the key where it will stay, and keeps key, certificate, authority and address
// in one directory.
//
// It speaks TLS only to fetch the authority's certificate that an invitation
// pins; the calls that trade requests for certificates are in client/rpc.
//
// Invariants: the private key never leaves the directory, whose secret file has
// mode 0600; files are replaced whole, so a crash leaves the old identity or the
// new one; a key is on disk before anyone is asked to certify it, so that an
// interrupted join can be repeated with the same invitation.
package identity
