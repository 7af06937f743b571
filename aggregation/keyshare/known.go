package keyshare

import (
	"sync"

	"github.com/sotto-fl/sotto/internal/statement"
)

// maxKnown bounds the memory of Known to some megabytes.
const maxKnown = MaxUploads

// Known remembers vouches whose signatures were found good, so that a holder does
// not check the same ones every round: half of its signature checks. What it
// remembers covers voucher's key, statement and signature, so that it depends on no
// record; expiry is checked every time. The zero value knows nothing; nil is
// allowed and stays so. Safe for concurrent use.
type Known struct {
	mu   sync.Mutex
	good map[statement.Digest]struct{}
}

func knownID(voucher statement.Key, v *Vouch, client string, key statement.Key) statement.Digest {
	return statement.New("sotto/known-vouch/v1").Fixed(voucher[:]).Bytes(v.statement(client, key)).Fixed(v.Signature[:]).Hash()
}

func (k *Known) has(voucher statement.Key, v *Vouch, client string, key statement.Key) bool {
	if k == nil {
		return false
	}
	id := knownID(voucher, v, client, key)
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.good[id]
	return ok
}

func (k *Known) add(voucher statement.Key, v *Vouch, client string, key statement.Key) {
	if k == nil {
		return
	}
	id := knownID(voucher, v, client, key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.good == nil || len(k.good) >= maxKnown {
		k.good = map[statement.Digest]struct{}{}
	}
	k.good[id] = struct{}{}
}
