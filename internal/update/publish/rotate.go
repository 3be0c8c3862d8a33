package publish

import "portward/internal/update/tufrepo"

// Rotate is tufrepo.Rotate for repositories that are published: nobody else is
// at it, and a new targets key signs no older copy.
func Rotate(o Options, role string) error {
	repo, lock, err := openLocked(o)
	if err != nil {
		return err
	}
	defer lock.Close()
	m, err := remember(o.Keys.Targets)
	if err != nil {
		return err
	}
	if stand := repo.Stand(); role == "targets" || stand.Root < m.Stand.Root {
		if err := m.allows(stand); err != nil {
			return err
		}
	}
	if err := tufrepo.Rotate(o.Repo, o.Keys, role, o.Pass, o.Now); err != nil {
		return err
	}
	if role != "targets" {
		return nil
	}
	if repo, err = tufrepo.OpenRepo(o.Repo, o.Keys, o.Pass); err != nil {
		return err
	}
	m.Stand = repo.Stand()
	return m.write()
}

// RenewRoot is tufrepo.Renew while nobody publishes.
func RenewRoot(o Options) error {
	_, lock, err := openLocked(o)
	if err != nil {
		return err
	}
	defer lock.Close()
	return tufrepo.Renew(o.Repo, o.Keys, o.Pass, o.Now)
}
