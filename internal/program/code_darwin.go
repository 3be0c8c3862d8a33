package program

import (
	"errors"
	"fmt"

	"portward/internal/macos"
)

// CheckCode has the system judge an app: whole for every processor, strictly, with
// the code in it, and signed as the program of that identifier is known to be.
// It does not insist that nobody revoked the certificate: that would wait for the
// network, and what may be installed is for the repository to say.
func (p *Program) CheckCode(app, identifier string) error {
	if err := p.checkPeers([]string{identifier}); err != nil {
		return err
	}
	err := macos.CheckStaticCode(app, p.Requirement(identifier))
	if errors.Is(err, macos.ErrCondemned) {
		return fmt.Errorf("%w: %w", ErrCondemned, err)
	}
	return err
}
