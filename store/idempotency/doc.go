// Package idempotency lets a call that changes something be repeated: the effect
// happens once, and each call gets the first answer. A service honours the
// header Idempotency-Key with it (draft-ietf-httpapi-idempotency-key-header-07):
//
//	call, err := s.keys.Call(ctx, key, principal, "invoices.create", in)
//	if err != nil {
//		return Invoice{}, err
//	}
//	var out Invoice
//	err = s.db.InTenant(ctx, principal.Tenant, func(ctx context.Context, tx store.Tx) error {
//		return call.Do(ctx, tx, &out, func() error {
//			var err error
//			out, err = s.insert(ctx, tx, in)
//			return err
//		})
//	})
//
// The row of the key commits with the effect, its events and its audit record, or
// not at all. A refusal commits nothing, so it is not kept: the same call may
// succeed later. A second call that comes while the first one runs is refused
// with KindConflict "idempotency_running"; where the store has one writer, it
// waits its turn and gets the first answer. Another input under the same key is
// KindInvalid "idempotency_key_reused".
//
// A key belongs to the principal and the operation: the same text is another key
// for another caller. Whoever lost the right to make the call is refused before
// the answer is looked for, as the service checks rights first.
//
// What the table shows to whoever can read the database: the SHA-256 of the key
// with its principal and operation, an HMAC of the input, and the answer sealed
// with AES-256-GCM. The keys of both are derived (HKDF) from the idempotency key
// and the input, of which the database has neither. That is as strong as the
// caller's key is random.
package idempotency
