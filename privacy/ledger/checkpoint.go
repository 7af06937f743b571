package ledger

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Head is the size and the root of a ledger's tree.
type Head struct {
	Size int64 `json:"size"`
	Root Hash  `json:"root"`
}

// maxCheckpoint bounds a checkpoint in bytes, with room for the signatures of witnesses.
const maxCheckpoint = 4096

// GenerateKey makes a signing key for ledgers. Both results are one line of text. The private one must stay in a file of
// mode 0600; the public one is for everybody. name is the operator's, for example a host: not empty, without spaces and '+'.
func GenerateKey(random io.Reader, name string) (private, public string, err error) {
	private, public, err = note.GenerateKey(random, name)
	if err != nil {
		return "", "", fmt.Errorf("make a ledger key: %w", err)
	}
	if _, err := note.NewVerifier(public); err != nil {
		return "", "", fmt.Errorf("make a ledger key: name %q: must not be empty or contain spaces or '+'", name)
	}
	return private, public, nil
}

func newSigner(private string) (note.Signer, error) {
	s, err := note.NewSigner(strings.TrimSpace(private))
	if err != nil {
		return nil, fmt.Errorf("ledger's private key: %w", err)
	}
	return s, nil
}

func newVerifier(public string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil {
		return nil, fmt.Errorf("ledger's public key: %w: want one line, name+hash+key", err)
	}
	return v, nil
}

// checkpointText is the body that is signed, in the form of the C2SP checkpoint: origin, size, root.
func checkpointText(origin string, h Head) string {
	return origin + "\n" + strconv.FormatInt(h.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(h.Root[:]) + "\n"
}

func signCheckpoint(s note.Signer, origin string, h Head) ([]byte, error) {
	b, err := note.Sign(&note.Note{Text: checkpointText(origin, h)}, s)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return b, nil
}

// OpenCheckpoint checks a checkpoint's signature and returns its origin and head.
func OpenCheckpoint(checkpoint []byte, public string) (origin string, h Head, err error) {
	v, err := newVerifier(public)
	if err != nil {
		return "", Head{}, err
	}
	return openCheckpoint(checkpoint, v)
}

func openCheckpoint(b []byte, v note.Verifier) (origin string, h Head, err error) {
	if len(b) > maxCheckpoint {
		return "", Head{}, fmt.Errorf("checkpoint: %d bytes, want at most %d", len(b), maxCheckpoint)
	}
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return "", Head{}, fmt.Errorf("checkpoint: %w", err)
	}
	return parseCheckpointText(n.Text)
}

func parseCheckpointText(text string) (origin string, h Head, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return "", Head{}, fmt.Errorf("checkpoint: want three lines, origin, size and root")
	}
	h.Size, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || h.Size < 0 {
		return "", Head{}, fmt.Errorf("checkpoint: size %.20q", lines[1])
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return "", Head{}, fmt.Errorf("checkpoint: root %.60q", lines[2])
	}
	h.Root = Hash(root)
	if checkpointText(lines[0], h) != text {
		return "", Head{}, fmt.Errorf("checkpoint: not in canonical form")
	}
	return lines[0], h, nil
}

// noteText is the signed part of a note, or "".
func noteText(b []byte) string {
	text, _, ok := strings.Cut(string(b), "\n\n")
	if !ok {
		return ""
	}
	return text + "\n"
}

// noteBytes writes a note whose signature was verified in the only form that signCheckpoint gives it.
func noteBytes(n *note.Note) ([]byte, error) {
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return nil, fmt.Errorf("checkpoint: %d signatures, want one", len(n.Sigs)+len(n.UnverifiedSigs))
	}
	return []byte(n.Text + "\n— " + n.Sigs[0].Name + " " + n.Sigs[0].Base64 + "\n"), nil
}

const originStart = "sotto.ledger/v1/"

// RunOrigin is the origin line of the checkpoints of a run's ledger.
func RunOrigin(run string) string { return originStart + "run/" + run }

// originOf is the origin line of a ledger with this first record.
func originOf(r Record) string {
	switch r := r.(type) {
	case *Plan:
		return RunOrigin(r.Run)
	case *DataSet:
		return originStart + "data/" + r.ID
	}
	return ""
}

func (s *State) origin() string {
	if s.Plan == nil {
		return ""
	}
	return originOf(s.Plan)
}
