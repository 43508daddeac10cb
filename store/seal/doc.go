// Package seal is a [store.Sealer] over Tink (github.com/tink-crypto/tink-go): it
// encrypts the few values that must not be readable in a store, under a keyset that
// is kept elsewhere.
//
//	sealer, err := seal.New(seal.Config{Keys: seal.File("/etc/acme/platform.keys")})
//	users, err := user.New(user.Config{DB: db, Sealer: sealer, …})
//
// A platform that is assembled by package standard takes an opener:
//
//	standard.Config{Relational: postgres.Open(url), Sealer: seal.Open(seal.File("/etc/acme/platform.keys"))}
//
// A value is encrypted with AES-256-GCM and bound to its tenant, table, column and
// row: moved to another cell it does not open. Who has the store and not the keyset
// learns the length of a value and under which key it is. A backup of the store is
// worth nothing without the keyset: keep a copy of that, and keep it apart.
//
// # Where the keyset is
//
// [File] is a file that others cannot read; [Env] is an environment variable; the
// interface [Keys] is for a host's own place. With [Config.KMS] the keyset is
// wrapped by a key of a key management service, so that its place holds nothing
// that is of use alone. The service is asked when the keyset is read, not for each
// value.
//
// # Rotation
//
// A keyset has one primary key, which seals, and older ones, which open.
// [Sealer.Rotate] adds a key and makes it the primary one. Processes that share the
// place of the keyset learn of it when they meet a value under a key that they do
// not know, and within [Config.Reload]. Where each process has a copy of its own,
// as with [Env], the key must be everywhere before anybody seals under it:
// [Sealer.Publish], distribute, [Sealer.Promote], distribute.
//
// The parts that hold sealed values seal them again under the primary key in the
// background. After that [Sealer.Retire] ends an old key. Values that are still
// under it cannot be opened from then on, until [Sealer.Restore].
package seal
