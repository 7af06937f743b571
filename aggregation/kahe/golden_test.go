package kahe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/sotto-fl/sotto/aggregation/pack"
)

// The vectors of testdata/v1 are for other implementations of the protocol as well.
// They were made by this package (go test -update); what they rest on is checked
// against definitions elsewhere in its tests.

// small is a rule for secrets and errors of vectors: -13 to 13.
func small(i, salt int) int32 { return int32((i*i*31+i*7+salt*11)%27) - 13 }

func smallKey(p Params, salt int) []uint64 {
	key := make([]uint64, p.KeySize())
	for a, m := range p.ring.moduli {
		for i := range p.ring.n {
			v := small(i, salt)
			key[a*p.ring.n+i] = uint64(int64(v)) + m.q&uint64(int64(v)>>63)
		}
	}
	return key
}

type goldenPublic struct {
	Preset   string     `json:"preset"`
	Seed     string     `json:"seed"`
	J        int        `json:"j"`
	Residues [][]uint64 `json:"first_residues_by_prime"`
	SHA256   string     `json:"sha256_of_all_big_endian"`
}

func TestPublicVectors(t *testing.T) {
	var got []goldenPublic
	for _, name := range []string{"n2048-q53", "n4096-q83", "n4096-q93", "n8192-q208"} {
		r, err := ringOf(name)
		if err != nil {
			t.Fatal(err)
		}
		var seed [32]byte
		for i := range seed {
			seed[i] = byte(i)
		}
		e := newPublic(r, seed).expander()
		for _, j := range []int{0, 1, 132} {
			g := goldenPublic{Preset: name, Seed: hex.EncodeToString(seed[:]), J: j}
			h := sha256.New()
			for i := range r.moduli {
				a := make([]uint64, r.n)
				e.uniform(a, i, j)
				g.Residues = append(g.Residues, a[:8])
				for _, v := range a {
					var b [8]byte
					for x := range b {
						b[x] = byte(v >> (56 - 8*x))
					}
					h.Write(b[:])
				}
			}
			g.SHA256 = hex.EncodeToString(h.Sum(nil))
			got = append(got, g)
		}
	}
	golden(t, "v1/public.json", got)
}

type goldenUpload struct {
	About  string  `json:"about"`
	Spec   Spec    `json:"spec"`
	Hash   string  `json:"params_hash"`
	Seed   string  `json:"seed"`
	Salt   int     `json:"salt"`
	Values []int32 `json:"values"`
	Length int     `json:"length"`
	Begin  string  `json:"first_64_bytes"`
	SHA256 string  `json:"sha256"`
}

const uploadRule = "secret[i] = small(i, salt); error i of polynomial j = small(i, salt+j+1); small(i, s) = (31*i*i + 7*i + 11*s) mod 27 - 13; values repeat to the length of the spec"

// (secret, errors, values) -> bytes of an upload.
func TestUploadVectors(t *testing.T) {
	var got []goldenUpload
	for n, s := range []Spec{
		{Preset: "n2048-q53", Values: 5000, Fields: 2, Width: 20, NoiseBits: 11, Uploads: 100},
		{Preset: "n2048-q53", Values: 5000, Fields: 2, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100},
		{Preset: "n2048-q52", Values: 100, Fields: 3, Width: 13, NoiseBits: 12, DropBits: 6, Uploads: 100},
		{Preset: "n4096-q93", Values: 20001, Fields: 4, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100},
		{Preset: "n4096-q73", Values: 20001, Fields: 3, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100},
		{Preset: "n8192-q176", Values: 70000, Fields: 8, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100},
	} {
		p, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		top := int32(1)<<(s.Width-8) - 1
		pattern := []int32{0, 1, -1, top, -top, 77, -78}
		body := uploadVector(t, p, pattern, n)
		digest, hash := sha256.Sum256(body), p.Hash()
		got = append(got, goldenUpload{
			About: uploadRule, Spec: s, Hash: hex.EncodeToString(hash[:]), Seed: hex.EncodeToString(make([]byte, 32)), Salt: n, Values: pattern,
			Length: len(body), Begin: hex.EncodeToString(body[:64]), SHA256: hex.EncodeToString(digest[:]),
		})

		sum := NewSum(p)
		if err := sum.Add(body); err != nil {
			t.Fatal(err)
		}
		// The errors of vectors are uniform, so their variance is refused where rounding
		// does not hide it; their size is not.
		values, noise, err := sum.Open(NewPublic(p, [32]byte{}), smallKey(p, n), 1)
		if noise.Largest > noise.Bound || (err == nil) != (s.DropBits > 0) {
			t.Fatalf("%v: %v, noise %+v", p, err, noise)
		}
		for i, v := range values {
			if v != int64(pattern[i%len(pattern)]) {
				t.Fatalf("%v: value %d is %d", p, i, v)
			}
		}
	}
	golden(t, "v1/uploads.json", got)
}

func uploadVector(t *testing.T, p Params, pattern []int32, salt int) []byte {
	values := make([]int32, p.spec.Values)
	for i := range values {
		values[i] = pattern[i%len(pattern)]
	}
	j := 0
	body, err := p.encrypt(nil, values, NewPublic(p, [32]byte{}), smallKey(p, salt), func(e []int32) {
		j++
		for i := range e {
			e[i] = small(i, salt+j)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

type goldenBad struct {
	Name  string `json:"name"`
	Error string `json:"error"`
	Body  string `json:"body"`
}

// Uploads that every implementation must refuse, beside one that it must accept, in a
// ring too small for any use: N = 64, q = 2^53-126975, one field of 20 bits, 65 values,
// 12 noise bits of which 6 are rounded off.
func TestBadUploadVectors(t *testing.T) {
	p := testInsecureParams(t, primes[2048][53], Spec{Values: 65, Fields: 1, Width: 20, NoiseBits: 12, DropBits: 6, Uploads: 100})
	good := uploadVector(t, p, []int32{0, 1, -1, 4095, -4095}, 0)
	largest, above, ones := slices.Clone(good), slices.Clone(good), slices.Clone(good)
	setBits(largest, 47*64, 47, p.largest(), 0)
	setBits(above, 47*64, 47, p.largest(), 1)
	setBits(ones, 0, 47, []uint64{1<<47 - 1}, 0)
	padding := flip(good, len(good)-1)
	if got, want := p.largest()[0], uint64((1<<53-126975-1+32)>>6); got != want || p.CoefficientBits() != 47 {
		t.Fatalf("largest coefficient is %d of %d bits, want %d of 47", got, p.CoefficientBits(), want)
	}
	cases := []struct {
		name string
		body []byte
		want error
	}{
		{"good", good, nil},
		{"good_largest_coefficient", largest, nil},
		{"bad_coefficient_above_largest", above, pack.ErrMalformed},
		{"bad_coefficient_of_ones", ones, pack.ErrMalformed},
		{"bad_padding", padding, pack.ErrMalformed},
		{"bad_length_minus_1", good[:len(good)-1], pack.ErrLength},
		{"bad_length_plus_1", append(slices.Clone(good), 0), pack.ErrLength},
		{"bad_empty", nil, pack.ErrLength},
		{"bad_two_uploads", slices.Concat(good, good), pack.ErrLength},
	}
	var got []goldenBad
	for _, c := range cases {
		g := goldenBad{Name: c.name, Body: hex.EncodeToString(c.body)}
		if c.want != nil {
			g.Error = c.want.Error()
		}
		got = append(got, g)
	}
	golden(t, "v1/bad_uploads.json", got)

	// What is tested is the file, not what was just made.
	text, err := os.ReadFile("testdata/v1/bad_uploads.json")
	if err != nil {
		t.Fatal(err)
	}
	var file []goldenBad
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&file); err != nil {
		t.Fatal(err)
	}
	for i, c := range file {
		body, err := hex.DecodeString(c.Body)
		if err != nil {
			t.Fatal(err)
		}
		sum := NewSum(p)
		if err := sum.Add(body); !errors.Is(err, cases[i].want) || (err == nil) != (c.Error == "") {
			t.Errorf("%s: got %v, want %q", c.Name, err, c.Error)
		}
	}
}
