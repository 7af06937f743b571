package statement

import (
	"crypto/ed25519"
	"errors"
)

// ErrSignature says that a signature does not fit key and statement.
var ErrSignature = errors.New("signature does not match")

// Key is an Ed25519 public key.
type Key [ed25519.PublicKeySize]byte

// Signature is an Ed25519 signature.
type Signature [ed25519.SignatureSize]byte

// PublicKey returns the public key of a private one, which must have been made by
// crypto/ed25519.
func PublicKey(private ed25519.PrivateKey) Key {
	return Key(private.Public().(ed25519.PublicKey))
}

// Sign signs a statement. Equal inputs give equal signatures (RFC 8032), so that
// signing again reveals nothing new. A private key of the wrong length panics.
func Sign(private ed25519.PrivateKey, statement []byte) Signature {
	return Signature(ed25519.Sign(private, statement))
}

// Verify returns ErrSignature unless signature is that of key's owner on the
// statement.
func Verify(key Key, statement []byte, signature Signature) error {
	if !ed25519.Verify(key[:], statement, signature[:]) {
		return ErrSignature
	}
	return nil
}
