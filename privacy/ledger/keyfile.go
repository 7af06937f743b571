package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// PublicKey returns the public half of a ledger's private key.
func PublicKey(private string) (string, error) {
	s, err := newSigner(private)
	if err != nil {
		return "", err
	}
	// PRIVATE+KEY+name+hash+base64 of the algorithm's byte and the seed; newSigner has checked it.
	private = strings.TrimSpace(private)
	b, err := base64.StdEncoding.DecodeString(private[strings.Index(private, s.Name())+len(s.Name())+len("+00000000+"):])
	if err != nil || len(b) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("ledger's private key: want an Ed25519 seed")
	}
	return note.NewEd25519VerifierKey(s.Name(), ed25519.NewKeyFromSeed(b[1:]).Public().(ed25519.PublicKey))
}

// OpenKey reads the signing key in the file at path, or makes one for the operator name and keeps it there with mode 0600.
// A key that others can read is refused. A lost key ends its ledgers: they can be checked, not continued.
func OpenKey(path, name string, random io.Reader) (private, public string, err error) {
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		info, err := os.Stat(path)
		if err != nil {
			return "", "", fmt.Errorf("ledger key: %w", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return "", "", fmt.Errorf("ledger key %s: mode %v lets others read it: set it to 0600", path, info.Mode().Perm())
		}
		private = strings.TrimSpace(string(b))
		public, err = PublicKey(private)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", path, err)
		}
		return private, public, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("ledger key: %w", err)
	}
	if private, public, err = GenerateKey(random, name); err != nil {
		return "", "", err
	}
	// Whole or not at all: half a key would lock the operator out.
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", "", fmt.Errorf("ledger key: %w", err)
	}
	_, err = f.WriteString(private + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return "", "", fmt.Errorf("ledger key: %w", err)
	}
	return private, public, nil
}
