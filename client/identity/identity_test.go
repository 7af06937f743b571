package identity

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// text encodes a body as the server does; see its package identity.
func text(body []byte) string {
	sum := sha256.Sum256(body)
	return invitationPrefix + invitationText.EncodeToString(append(body[:len(body):len(body)], sum[:checksumSize]...))
}

func body(version byte, name, address string) []byte {
	b := append([]byte{version}, make([]byte, 48)...)
	b = append(append(b, byte(len(name))), name...)
	return append(append(b, byte(len(address))), address...)
}

func TestParseInvitation(t *testing.T) {
	inv, err := ParseInvitation(text(body(1, "a", "localhost:7443")))
	if err != nil || inv.Name != "a" || inv.Address != "localhost:7443" {
		t.Fatalf("got %+v, %v", inv, err)
	}
	for _, bad := range []string{
		"", "hello", invitationPrefix, invitationPrefix + "!!", strings.Repeat("a", 5000),
		text(body(1, "A", "localhost:7443")),
		text(body(1, "", "localhost:7443")),
		text(body(1, "a", "localhost")),
		text(body(1, "a", ":7443")),
		text(body(1, "a", "unix:///x:1")),
		text(body(1, "a", "h\x1b[2J:1")),
		text(append(body(1, "a", "localhost:7443"), 0)),
		text(body(1, "a", "localhost:7443")[:55]),
	} {
		if _, err := ParseInvitation(bad); !errors.Is(err, ErrInvitation) {
			t.Errorf("%.60q: got %v", bad, err)
		}
	}
	if _, err := ParseInvitation(text(body(2, "a", "localhost:7443"))); err == nil || errors.Is(err, ErrInvitation) {
		t.Errorf("other format: got %v", err)
	}
}

// One lost, doubled or changed character anywhere is recognised.
func TestMangledInvitation(t *testing.T) {
	good := text(body(1, "clinic-1", "localhost:7443"))
	for i := range good {
		for name, bad := range map[string]string{
			"lost":    good[:i] + good[i+1:],
			"cut":     good[:i],
			"changed": good[:i] + string("b2"[btoi(good[i] == 'b')]) + good[i+1:],
		} {
			if _, err := ParseInvitation(bad); err == nil {
				t.Errorf("character %d %s: accepted", i, name)
			}
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func FuzzParseInvitation(f *testing.F) {
	f.Add(text(body(1, "clinic-1", "localhost:7443")))
	f.Add(text(body(1, "a", "[::1]:1")))
	f.Add(text(make([]byte, 60)))
	f.Fuzz(func(t *testing.T, s string) {
		inv, err := ParseInvitation(s)
		if err != nil {
			if inv != (Invitation{}) {
				t.Error("a refused invitation is returned")
			}
			return
		}
		b := append([]byte{invitationVersion}, inv.Authority[:]...)
		b = append(b, inv.Secret[:]...)
		b = append(append(b, byte(len(inv.Name))), inv.Name...)
		b = append(append(b, byte(len(inv.Address))), inv.Address...)
		if again, err := ParseInvitation(text(b)); err != nil || again != inv {
			t.Errorf("encoded again: %+v, %v", again, err)
		}
	})
}

// FuzzParseInvitationBody reaches behind the checksum.
func FuzzParseInvitationBody(f *testing.F) {
	f.Add(body(1, "clinic-1", "localhost:7443"))
	f.Fuzz(func(t *testing.T, b []byte) { ParseInvitation(text(b)) })
}

func TestInterruptedJoinKeepsItsKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNotJoined) {
		t.Errorf("empty directory: got %v", err)
	}
	first, err := Prepare(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); !errors.Is(err, ErrNotJoined) {
		t.Errorf("without a certificate: got %v", err)
	}
	second, err := Prepare(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !first.key.Equal(second.key) {
		t.Error("a repeated join made another key: its invitation would be refused as used")
	}
	info, err := os.Stat(filepath.Join(dir, secretFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestPrivateKeyThatOthersCanReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, secretFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
}

func TestDamagedSecretFile(t *testing.T) {
	for _, content := range []string{"", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, secretFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: got %v", content, err)
		}
		if _, err := Prepare(dir); err == nil {
			t.Errorf("%q: Prepare would overwrite it", content)
		}
	}
}
