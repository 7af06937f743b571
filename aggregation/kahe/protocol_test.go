package kahe

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// protocolText is docs/protocol.md.
func protocolText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The sentences that tests of this package check, and where. A sentence that changes
// takes its test along.
func TestProtocolSentences(t *testing.T) {
	text := protocolText(t)
	for number, c := range map[string]struct{ sentence, tests string }{
		"E1":  {"An upload is, for j = 0, 1, ..., the polynomial c_j = a_j*s + e_j + 2^k*M_j mod q, of which every coefficient x is sent as (x + h) >> r, with h = 2^(r-1), or 0 where r = 0.", "TestUploadVectors"},
		"E4":  {"s and every e_j are discrete Gaussians of sigma 6.5 in each coefficient, cut at 88 = 13.5 sigma; ternary secrets are not used.", "TestGaussianTable TestGaussianStatistics"},
		"E7":  {"Of each 64 bits of that stream, a little-endian word, the lowest bitlen(q_i) count; a word that is not below q_i in them is skipped.", "TestPublicPolynomials TestPublicVectors"},
		"E9":  {"An upload of another length, with a coefficient above (q-1+h) >> r or with padding that is not zero, is refused and changes nothing.", "TestRefusedUploadChangesNothing TestPaddingIsChecked FuzzUpload"},
		"E13": {"k + p*w <= floor(log2 q).", "TestPlanIsSoundAndMinimal TestRefusals"},
		"E14": {"A sum opens only if every |E| <= B and the mean of E^2 is within 8*sqrt(2/coefficients) of n*(sigma^2 + (4^r-1)/12), relatively.", "TestOpeningChecksTheNoise TestWrongKeyDoesNotOpen"},
		"E15": {"A sum whose noise is right but whose coefficients are not used up by p fields does not open either.", "TestOverflowOfTheTopFieldIsSeen"},
	} {
		if want := fmt.Sprintf("- **%s.** %s\n", number, c.sentence); !strings.Contains(text, want) {
			t.Errorf("docs/protocol.md does not say %s: %s (checked by %s)", number, c.sentence, c.tests)
		}
	}
}

// The table of plans in the document is what the planner says.
func TestPlansOfTheDocument(t *testing.T) {
	text := protocolText(t)
	for _, c := range []struct {
		d     string
		level string
		width int
	}{
		{"545,098", Classical128, 13}, {"545,098", Classical128, 16}, {"545,098", Classical128, 20}, {"545,098", Classical128, 23},
		{"545,098", Conservative, 20}, {"545,098", Conservative, 23},
		{"26,010", Classical128, 20}, {"10,000,000", Classical128, 20},
	} {
		d := 0
		fmt.Sscan(strings.ReplaceAll(c.d, ",", ""), &d)
		p := mustPlan(t, Requirement{Values: d, Width: c.width, Uploads: 100, Security: c.level})
		s, float32s := p.Spec(), 4*float64(d)
		shares := 2 * p.Preset().N * p.Preset().Bits / 8
		want := fmt.Sprintf("| %s | %s | %d | %s | %d | %d | %d | %.3f | %.3f |\n", c.d, c.level, c.width, s.Preset, s.Fields, s.NoiseBits, s.DropBits,
			float64(p.CiphertextSize())/float32s, float64(p.CiphertextSize()+shares)/float32s)
		if !strings.Contains(text, want) {
			t.Errorf("docs/protocol.md has no row %s", want)
		}
	}
	for level, limits := range map[string]string{Classical128: "53 bits | 105 | 209", Conservative: "none | 83 | 161"} {
		row := fmt.Sprintf("| `%s` | %s |", level, limits)
		if !strings.Contains(text, row) {
			t.Errorf("docs/protocol.md has no row %s", row)
		}
	}
}
