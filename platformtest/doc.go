// Package platformtest lets a host test its modules against the whole platform, in
// one process and with nothing installed: the real services, gateway, queue and
// stream over a SQLite file in the test's folder, with a clock that the test moves,
// a sink for e-mails, and people who sign up.
//
//	func TestInvoices(t *testing.T) {
//		tp := platformtest.New(t, standard.Config{
//			Modules: func(p standard.Parts) ([]platform.Module, error) {
//				return []platform.Module{invoices.New(p.DB, p.Jobs)}, nil
//			},
//		})
//		ann := tp.SignUp("ann@example.com")
//		ann.Do("POST", "/v1/invoices", map[string]any{"amount": 12}).Want(201)
//		mail := tp.Mail.Wait(t, "ann@example.com")
//		…
//	}
//
// What [New] is given is the host's own [standard.Config], so that a test runs what
// the program runs; only what the Config leaves out is filled in for tests. A
// failure of the kit itself ends the test.
//
// # Time
//
// The clock stands still until the test moves it ([testclock.Clock.Advance]): tokens
// expire, limits of the day reset and jobs become due when the test says so. What
// waits for due work looks at least once a second of real time, so a test waits for
// the effect, with [Mail.Wait] or a channel of its own, and does not sleep. In a
// bubble of testing/synctest give standard.Config{Now: time.Now}: its time is the
// bubble's then, and passes as fast as everybody waits; each second of it costs a
// look at the store, so let minutes pass there, and move the clock by days.
//
// # Without the platform
//
// [Principal] is a caller for a test of a function that takes one, and
// [platform.WithPrincipal] with [platform.WithAccess] puts it before a handler.
package platformtest
