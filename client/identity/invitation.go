package identity

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"unicode"
)

// ErrInvitation says that a text is not a whole invitation.
var ErrInvitation = errors.New("not a valid invitation: copy the whole text from sotto-invite- to its end")

const (
	invitationPrefix  = "sotto-invite-"
	invitationVersion = 1
	checksumSize      = 4

	// Name and address are at most 63 and 255 bytes: no invitation is longer.
	maxInvitation = 1024
)

// Invitation is what the text from the server's operator says.
type Invitation struct {
	Name      string   // the client's name
	Address   string   // host:port of the server
	Secret    [16]byte // works once
	Authority [32]byte // SHA-256 of the CA certificate
}

var (
	invitationText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	validName      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
)

// ParseInvitation reads the text form. Case, surrounding space and line breaks
// that a mail program put in are ignored; everything else that was changed or
// lost is found by the checksum and gives ErrInvitation.
func ParseInvitation(text string) (Invitation, error) {
	if len(text) > maxInvitation {
		return Invitation{}, fmt.Errorf("%w: it has %d characters, want at most %d", ErrInvitation, len(text), maxInvitation)
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
	code, ok := strings.CutPrefix(text, invitationPrefix)
	if !ok {
		return Invitation{}, fmt.Errorf("%w: it does not start so", ErrInvitation)
	}
	b, err := invitationText.DecodeString(code)
	if err != nil || invitationText.EncodeToString(b) != code {
		return Invitation{}, fmt.Errorf("%w: it holds other characters than a-z and 2-7, or ends too early", ErrInvitation)
	}
	if len(b) < 1+32+16+1+1+checksumSize {
		return Invitation{}, fmt.Errorf("%w: it ends too early", ErrInvitation)
	}
	b, sum := b[:len(b)-checksumSize], b[len(b)-checksumSize:]
	if want := sha256.Sum256(b); string(want[:checksumSize]) != string(sum) {
		return Invitation{}, fmt.Errorf("%w: its checksum does not match, characters were lost or changed", ErrInvitation)
	}
	if b[0] != invitationVersion {
		return Invitation{}, fmt.Errorf("the invitation has format %d, this program reads %d: use the server's version of the program", b[0], invitationVersion)
	}
	var inv Invitation
	b = b[1:]
	b = b[copy(inv.Authority[:], b):]
	b = b[copy(inv.Secret[:], b):]
	if inv.Name, b, ok = cutString(b); ok {
		inv.Address, b, ok = cutString(b)
	}
	if !ok || len(b) != 0 || !validName.MatchString(inv.Name) {
		return Invitation{}, ErrInvitation
	}
	if host, port, err := net.SplitHostPort(inv.Address); err != nil || host == "" || port == "" || strings.ContainsFunc(inv.Address, unsafeInAddress) {
		return Invitation{}, fmt.Errorf("%w: its server address %q is not host:port", ErrInvitation, inv.Address)
	}
	return inv, nil
}

// unsafeInAddress keeps what could be read as a path, a scheme or a control
// sequence out of dial targets and terminals.
func unsafeInAddress(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`/\@?#"'`, r)
}

// cutString takes a byte of length and as many bytes from b.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", nil, false
	}
	n := int(b[0])
	return string(b[1 : 1+n]), b[1+n:], true
}
