package user

import (
	"github.com/acme/platform/store/reseal"
	"github.com/acme/platform/store/retention"
)

// What is stored sealed: the private parts of signing keys, which [keyring.maintain]
// seals again, and the seeds of authenticator apps.

// totpSeeds is the table of the seeds.
func totpSeeds() reseal.Table {
	return reseal.Table{Name: "user_totp", Column: "seed", Key: []string{"user_id"}}
}

// sealingTask seals again what is not under the present key of the sealer.
func (s *Service) sealingTask() retention.Task {
	return retention.Task{Name: "user.sealing", Step: reseal.Step(s.db, s.cross.factors, s.cfg.Sealer, totpSeeds())}
}
