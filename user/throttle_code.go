package user

import "context"

// beginCode counts a try of a code of six digits, and refuses it with KindLimited
// when it comes too soon. Who gets here has shown the first factor, so an account
// has few tries for all strangers together: freeTries, then one per delay, which
// doubles up to maxStrangerDelay; that is some 100 a day, each right with a chance
// of 3 in a million. A known device has as many of its own, so that strangers do
// not keep the owner out; passkeys and recovery codes wait for nothing, because
// they cannot be guessed.
func (t throttle) beginCode(ctx context.Context, user, client string, known bool) (*attempt, error) {
	c := counter{key: "user.factor:" + digest(user), free: freeTries, longest: maxStrangerDelay, window: strangerWindow}
	if known {
		c.key += ":" + digest(network(client))
	}
	a := &attempt{throttle: t}
	wait, err := a.take(ctx, c)
	if err == nil && wait > 0 {
		err = errTooManyLogins(wait)
	}
	if err != nil {
		a.undo(ctx)
		return nil, err
	}
	return a, nil
}
