package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/client/participant"
	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/statement"
	"github.com/sotto-fl/sotto/privacy/noise"
)

const (
	signingFile = "signing.key" // signs uploads, and sets of a key holder
	noiseFile   = "noise.key"   // coins and noise of every round derive from it
	policyFile  = "policy.yaml"
	holderDir   = "holder"

	// vouchFor is how long a client's word for its own key lasts; it is renewed with
	// every start.
	vouchFor = 400 * 24 * time.Hour
)

// signingKey loads the member's signing key, or makes it.
func signingKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, signingFile)
	b, err := secret(path, func() ([]byte, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: not a PEM file: restore it from a backup", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: restore it from a backup", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: holds a %T, want an Ed25519 key: restore it from a backup", path, parsed)
	}
	return key, nil
}

// noiseSecret loads the secret that coins and noise derive from, or makes it. It
// must never be restored to an older state together with the journals: it has none.
func noiseSecret(dir string) (*participant.Secrets, error) {
	path := filepath.Join(dir, noiseFile)
	b, err := secret(path, func() ([]byte, error) {
		b := make([]byte, len(noise.Seed{}))
		rand.Read(b)
		return b, nil
	})
	if err != nil {
		return nil, err
	}
	if len(b) != len(noise.Seed{}) {
		return nil, fmt.Errorf("%s: %d bytes, want %d: restore it from a backup", path, len(b), len(noise.Seed{}))
	}
	return &participant.Secrets{Master: noise.Seed(b)}, nil
}

// secret reads a file of mode 0600, or makes it, durably, before anything uses it.
func secret(path string, fresh func() ([]byte, error)) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = fresh(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	return b, os.Rename(path+".new", path)
}

// permitted loads the data holder's policy; nil where no committee was approved, and
// then only runs that do not encrypt are open to this client.
func permitted(dir string) (*policy.Policy, error) {
	path := filepath.Join(dir, policyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p, err := policy.Load(path)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// sealer loads what encrypted runs need.
func sealer(dir, name string, p policy.Policy) (*participant.Sealer, error) {
	key, err := signingKey(dir)
	if err != nil {
		return nil, err
	}
	s := &participant.Sealer{Key: key, Policy: p}
	if p.Roster == string(keyshare.RosterPinned) {
		s.Vouch = keyshare.SignVouch(name, key, name, statement.PublicKey(key), uint64(time.Now().Add(vouchFor).Unix()))
	}
	return s, nil
}

// writePolicy pins an approved record.
func writePolicy(dir string, p policy.Policy) error {
	path := filepath.Join(dir, policyFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = config.WriteYAML(f, p, "What this data holder permits. No server can change it; runs that want more are refused.")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
