package user

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A device is known by the network from which its user has signed in. Tries
// from there are the owner's, as far as the password is concerned: they never
// wait for those of strangers. The table outlives restarts and whatever a cache
// gives up; it is bounded for each account, and a device that was not used
// for long is a stranger again.
const (
	// knownFor is longer than a session can be: who signs in again when the
	// last one has ended is still known.
	knownFor = 180 * day
	// maxDevices bounds the networks of one account; the one that has waited
	// longest goes first.
	maxDevices = 20
	// deviceResolution is how exact the last use is, so that not each sign-in
	// writes it.
	deviceResolution = day
)

// clientOf is the address of the client that ctx carries, or "".
func clientOf(ctx context.Context) string {
	if a := platform.ClientFrom(ctx); a.IsValid() {
		return a.String()
	}
	return ""
}

// network is what devices are known by: the /64 of an IPv6 address, of which a
// single host can use every address, and anything else as it is. It is "" where
// the caller is not known.
func network(client string) string { return maskIPv6(client, 64) }

// site is what strangers are counted by: the /48 of an IPv6 address, which is
// what one customer gets at most, and anything else as it is.
func site(client string) string { return maskIPv6(client, 48) }

func maskIPv6(client string, bits int) string {
	a, err := netip.ParseAddr(client)
	if err != nil {
		return client
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		return netip.PrefixFrom(a, bits).Masked().String()
	}
	return a.String()
}

// knownAt reports whether a device that was last used then, in µs, is known.
func (s *Service) knownAt(lastUsed int64) bool {
	return lastUsed != 0 && s.now().Before(fromMicros(lastUsed).Add(knownFor))
}

// rememberDevice notes that the user signed in from the caller's network, in a
// transaction that holds the account.
func (s *Service) rememberDevice(ctx context.Context, tx store.Queries, user string, now time.Time) error {
	from := network(clientOf(ctx))
	if from == "" {
		return nil
	}
	isNew, err := changedOne(ctx, tx, `INSERT INTO user_devices (user_id, network, created_at, last_used_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (user_id, network) DO UPDATE SET last_used_at = excluded.last_used_at WHERE user_devices.last_used_at < ?`,
		user, from, micros(now), micros(now), micros(now.Add(-deviceResolution)))
	if err != nil || !isNew {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM user_devices WHERE user_id = ? AND network NOT IN
		(SELECT network FROM user_devices WHERE user_id = ? ORDER BY last_used_at DESC, created_at DESC, network LIMIT ?)`,
		user, user, maxDevices)
	return err
}

// forgetDevices makes strangers of the devices of a user, but for the network
// that the caller is in: whoever learnt the old password may have used it.
func (s *Service) forgetDevices(ctx context.Context, tx store.Queries, user string) error {
	_, err := tx.Exec(ctx, `DELETE FROM user_devices WHERE user_id = ? AND network <> ?`, user, network(clientOf(ctx)))
	return err
}

// purgeDevices removes those that are known no more.
func (s *Service) purgeDevices(ctx context.Context) error {
	err := s.db.AcrossTenants(ctx, s.cross.purge, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `DELETE FROM user_devices WHERE last_used_at < ?`, micros(s.now().Add(-knownFor)))
		return err
	}, store.Reserved)
	if err != nil {
		return fmt.Errorf("user: purge devices: %w", err)
	}
	return nil
}
