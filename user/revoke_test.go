package user_test

import (
	"context"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/user"
)

// With a PubSub a revocation acts in the other process when the message
// arrives; the verifiedCredential there would be good for a minute.
func TestRevocationReachesOtherProcesses(t *testing.T) {
	bus := memory.NewPubSub()
	shared := func(c *user.Config) { c.PubSub, c.VerifyTTL = bus, time.Minute }
	a := open(t, shared)
	b := a.replica(t, shared)
	ann := a.signUp(t, "ann@example.com")
	ben, m := a.join(t, ann.p, "ben@example.com", user.RoleAdmin)
	second, err := a.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)

	// A subscriber of our own tells when a message has been handed out, but not
	// that the other process took it: so the test asks until it is so.
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !done(); {
			if time.Now().After(deadline) {
				t.Fatalf("%s did not reach the other process", what)
			}
		}
	}
	b.verify(t, second.Access)
	noError(t, a.RevokeSession(t.Context(), ann.p, second.Session))
	until("the revocation", func() bool {
		_, err := b.Verify(t.Context(), string(second.Access))
		return err != nil
	})
	noError(t, b.Authorize(t.Context(), ben, "data.records.write"))
	role, err := a.CreateRole(t.Context(), ann.p, user.NewRole{Name: "auditor", Permissions: []string{"user.audit.read"}})
	noError(t, err)
	auditor := ben.Clone()
	auditor.Roles = []string{"auditor"}
	until("the new role", func() bool { return b.Authorize(t.Context(), auditor, "user.audit.read") == nil })
	_, err = a.UpdateRole(t.Context(), ann.p, role.ID, user.RoleChange{Permissions: []string{"data.records.read"}})
	noError(t, err)
	until("the changed role", func() bool { return b.Authorize(t.Context(), auditor, "user.audit.read") != nil })
	noError(t, a.RemoveMember(t.Context(), ann.p, m.ID))
}

// Without a PubSub the bound is VerifyTTL.
func TestRevocationIsBounded(t *testing.T) {
	a := open(t)
	b := a.replica(t)
	ann := a.signUp(t, "ann@example.com")
	b.verify(t, ann.Tokens.Access)
	_, err := a.CreateRole(t.Context(), ann.p, user.NewRole{Name: "auditor", Permissions: []string{"user.audit.read"}})
	noError(t, err)
	auditor := ann.p.Clone()
	auditor.Roles = []string{"auditor"}
	noError(t, b.Authorize(t.Context(), auditor, "user.audit.read")) // read for the first time
	roles, err := a.Roles(t.Context(), ann.p)
	noError(t, err)
	for _, r := range roles {
		if r.Name == "auditor" {
			noError(t, a.DeleteRole(t.Context(), ann.p, r.ID))
		}
	}
	noError(t, a.LogOut(t.Context(), ann.p))
	a.clock.Advance(5 * time.Second)
	_, err = b.Verify(t.Context(), string(ann.Tokens.Access))
	want(t, err, platform.KindUnauthenticated, "")
	want(t, b.Authorize(t.Context(), auditor, "user.audit.read"), platform.KindForbidden, "")
}

// What a subscriber missed may have been anything.
func TestDroppedMessages(t *testing.T) {
	bus := &scriptedPubSub{PubSub: memory.NewPubSub(), messages: make(chan store.Message)}
	a := open(t)
	b := a.replica(t, func(c *user.Config) { c.PubSub, c.VerifyTTL = bus, time.Minute })
	a.signUp(t, "ann@example.com")
	for _, m := range []store.Message{{Payload: []byte(`[]`), Dropped: 1}, {Payload: []byte(`not JSON`)}} {
		tokens, err := a.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
		noError(t, err)
		p := b.verify(t, tokens.Access)
		noError(t, a.LogOut(t.Context(), p))
		b.verify(t, tokens.Access) // it does not know yet
		bus.messages <- m
		for range 2 { // the second is handed on once the first was taken, after m was handled
			bus.messages <- store.Message{Payload: []byte(`[]`)}
		}
		_, err = b.Verify(t.Context(), string(tokens.Access))
		want(t, err, platform.KindUnauthenticated, "")
	}
}

// scriptedPubSub delivers what the test says.
type scriptedPubSub struct {
	store.PubSub
	messages chan store.Message
}

func (s *scriptedPubSub) Subscribe(ctx context.Context, _ platform.TenantID, _ string) (store.Subscription, error) {
	sub := &scriptedSubscription{out: make(chan store.Message)}
	go func() {
		defer close(sub.out)
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-s.messages:
				sub.out <- m
			}
		}
	}()
	return sub, nil
}

type scriptedSubscription struct{ out chan store.Message }

func (s *scriptedSubscription) C() <-chan store.Message { return s.out }
func (s *scriptedSubscription) Close() error            { return nil }
