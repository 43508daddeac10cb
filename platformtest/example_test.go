package platformtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform/platformtest"
	"github.com/acme/platform/standard"
)

// A test of a host's module: the route enqueues a job for tomorrow, and the job
// sends an e-mail.
func Example() {
	_ = func(t *testing.T) { //nolint:thelper // it stands for TestReminders
		tp := platformtest.New(t, standard.Config{Modules: remindAfter(24 * time.Hour)})
		ann := tp.SignUp("ann@example.com")
		ann.Do("POST", "/v1/reminders", remind{To: "ann@example.com", Text: "water the plants"}).Want(http.StatusNoContent)
		tp.Clock.Advance(24 * time.Hour)
		if m := tp.Mail.Wait(t, "ann@example.com"); !strings.Contains(m.Text, "water the plants") {
			t.Errorf("the e-mail says %q", m.Text)
		}
	}
	// Output:
}
