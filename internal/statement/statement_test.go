package statement

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const testLabel = "sotto/test/v1"

// The bytes are part of the protocol: a change of this vector is a change of
// every signature.
func TestGolden(t *testing.T) {
	b := New(testLabel).Uint(258).Bool(true).String("ab").Bytes(nil).Count(2).Fixed([]byte{7, 8}).Statement()
	want := "0000000d" + hex.EncodeToString([]byte(testLabel)) + "0000000000000102" + "0000000000000001" + "000000026162" + "00000000" + "00000002" + "0708"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Two sequences of strings give equal bytes only if they are equal: no shifting
// of bytes between neighbours.
func TestInjective(t *testing.T) {
	gen := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "aa", "\x00", "\x00\x00\x00\x01a", strings.Repeat("b", 300)}), 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		encode := func(v []string) string {
			w := New(testLabel).Count(len(v))
			for _, s := range v {
				w.String(s)
			}
			return string(w.Statement())
		}
		if same := strings.Join(a, "|") == strings.Join(b, "|") && len(a) == len(b); same != (encode(a) == encode(b)) {
			t.Fatalf("%q and %q: equal values %v, equal bytes %v", a, b, same, !same)
		}
	})
}

func TestReaderRefuses(t *testing.T) {
	good := New(testLabel).Uint(5).String("abc").Statement()
	read := func(b []byte) error {
		r := Read(b, testLabel)
		r.Uint("number", 5)
		r.String("name", 3)
		return r.Close()
	}
	if err := read(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		if err := read(good[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: got %v, want ErrMalformed", i, err)
		}
	}
	for name, b := range map[string][]byte{
		"another label":   New("sotto/test/v2").Uint(5).String("abc").Statement(),
		"prefix of label": New("sotto/test/v").Uint(5).String("abc").Statement(),
		"number":          New(testLabel).Uint(6).String("abc").Statement(),
		"long string":     New(testLabel).Uint(5).String("abcd").Statement(),
		"left over":       append(bytes.Clone(good), 0),
		"huge length":     append(New(testLabel).Uint(5).Statement(), 0xff, 0xff, 0xff, 0xff),
	} {
		if err := read(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestCountIsBoundedByInput(t *testing.T) {
	b := New(testLabel).Count(1 << 20).Fixed(make([]byte, 64)).Statement()
	r := Read(b, testLabel)
	if n := r.Count("list", math.MaxInt32, 32); n != 0 || !errors.Is(r.Err(), ErrMalformed) {
		t.Errorf("got %d, %v; want 0 and ErrMalformed", n, r.Err())
	}
	r = Read(New(testLabel).Count(2).Fixed(make([]byte, 64)).Statement(), testLabel)
	if n := r.Count("list", 2, 32); n != 2 || r.Err() != nil {
		t.Errorf("got %d, %v; want 2", n, r.Err())
	}
}

// RFC 8032, section 7.1, test 2.
func TestSignature(t *testing.T) {
	seed, _ := hex.DecodeString("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
	private := ed25519.NewKeyFromSeed(seed)
	s := Sign(private, []byte{0x72})
	want := "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
	if got := hex.EncodeToString(s[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	key := PublicKey(private)
	if err := Verify(key, []byte{0x72}, s); err != nil {
		t.Error(err)
	}
	if err := Verify(key, []byte{0x73}, s); !errors.Is(err, ErrSignature) {
		t.Errorf("another statement: got %v, want ErrSignature", err)
	}
	s[0] ^= 1
	if err := Verify(key, []byte{0x72}, s); !errors.Is(err, ErrSignature) {
		t.Errorf("damaged signature: got %v, want ErrSignature", err)
	}
	if err := Verify(Key{}, []byte{0x72}, s); !errors.Is(err, ErrSignature) {
		t.Errorf("zero key: got %v, want ErrSignature", err)
	}
}

// Whatever reads without an error is exactly what writing the values gives.
func FuzzReader(f *testing.F) {
	f.Add(New(testLabel).Uint(1).Bool(true).String("name").Count(1).Bytes([]byte("x")).Fixed(make([]byte, 32)).Statement())
	f.Add(New(testLabel).Statement())
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := Read(b, testLabel)
		w := New(testLabel).Uint(r.Uint("number", math.MaxUint64)).Bool(r.Bool("flag")).String(r.String("name", 64))
		n := r.Count("list", 1000, 4)
		w.Count(n)
		for range n {
			w.Bytes(r.Bytes("element", 1<<20))
		}
		d := r.Digest("digest")
		w.Fixed(d[:])
		if err := r.Close(); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			return
		}
		if !bytes.Equal(w.Statement(), b) {
			t.Fatalf("%x reads as %x", b, w.Statement())
		}
	})
}
