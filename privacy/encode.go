package privacy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sotto-fl/sotto/internal/statement"
)

// MaxEncoded bounds an encoded contract.
const MaxEncoded = 1 << 14

// ErrMalformed says that bytes are not the canonical encoding of a valid contract.
var ErrMalformed = errors.New("malformed contract")

// label separates the hash of a contract from every other hash.
const label = "sotto/contract/v1"

// Encode returns the canonical JSON of a valid contract: the fields in the order of the Go struct, all of them, no white space.
// Equal contracts have equal bytes.
func (c Contract) Encode() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("encode contract: %w", err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode contract: %w", err)
	}
	return b, nil
}

// Decode reads what Encode wrote and nothing else: any other spelling is refused with
// ErrMalformed, and so is a contract that Validate refuses.
func Decode(b []byte) (Contract, error) {
	if len(b) > MaxEncoded {
		return Contract{}, fmt.Errorf("%w: %d bytes, want at most %d", ErrMalformed, len(b), MaxEncoded)
	}
	var c Contract
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Contract{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Contract{}, fmt.Errorf("%w: bytes after the contract", ErrMalformed)
	}
	canonical, err := c.Encode()
	if err != nil {
		return Contract{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(b, canonical) {
		return Contract{}, fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return c, nil
}

// Hash identifies a valid contract: SHA-256 of its label and canonical bytes.
func (c Contract) Hash() (statement.Digest, error) {
	b, err := c.Encode()
	if err != nil {
		return statement.Digest{}, err
	}
	return statement.New(label).Bytes(b).Hash(), nil
}

// RotationSeed is the public seed of a round's rotation under the contract with that hash. It changes every
// round, so that nobody can choose updates that a clamp cuts, and what it cuts is
// not the same every time.
func RotationSeed(contract statement.Digest, round int) [32]byte {
	return statement.New("sotto/rotation/v1").Fixed(contract[:]).Int(round).Hash()
}
