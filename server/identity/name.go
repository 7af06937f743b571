package identity

import (
	"fmt"
	"regexp"
)

// A DNS label: safe in certificates, file names, logs and metrics.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// CheckName says whether a client may have that name.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("client name %.80q: %w", name, ErrBadName)
	}
	return nil
}
