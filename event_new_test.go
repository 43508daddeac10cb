package platform_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
)

func TestNewEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := platform.Principal{Tenant: "org_acme", Subject: "usr_ann", Kind: platform.PrincipalUser}
		e, err := platform.NewEvent(p, "invoice.paid", "invoice/42", map[string]int{"amount": 12})
		if err != nil || e.Validate() != nil {
			t.Fatalf("got %v, %v", err, e.Validate())
		}
		if e.Tenant != "org_acme" || e.Actor != "usr_ann" || e.Source != "/invoice" || e.Type != "invoice.paid" || e.Subject != "invoice/42" ||
			!e.Time.Equal(time.Now()) || !strings.HasPrefix(e.ID, "evt_") || string(e.Data) != `{"amount":12}` {
			t.Errorf("got %+v", e)
		}
		p.Actor = &platform.Actor{Subject: "usr_help", Kind: platform.PrincipalOperator}
		if e, _ = platform.NewEvent(p, "invoice.paid", "invoice/42", nil); e.Actor != "usr_help" || e.OnBehalfOf != "usr_ann" {
			t.Errorf("somebody acts for ann: %+v", e)
		}
		if e, err = platform.NewEvent(p, "invoice.paid", "invoice/42", nil); err != nil || e.Data != nil {
			t.Errorf("without data: %s, %v", e.Data, err)
		}
		if _, err = platform.NewEvent(p, "invoice.paid", "invoice/42", func() {}); err == nil || !strings.Contains(err.Error(), "invoice.paid") {
			t.Errorf("data that is no JSON: %v", err)
		}
		if e, err = platform.NewEvent(platform.Principal{}, "", "", nil); err != nil || e.Validate() == nil {
			t.Errorf("an event of nobody: %v, %v", err, e.Validate())
		}
	})
}

func ExampleNewEvent() {
	ann := platform.Principal{Tenant: "org_acme", Subject: "usr_ann", Kind: platform.PrincipalUser}
	event, err := platform.NewEvent(ann, "invoice.paid", "invoice/42", map[string]int{"amount": 1200})
	fmt.Println(event.Source, event.Type, event.Subject, event.Tenant, event.Actor, string(event.Data), err)
	// Output: /invoice invoice.paid invoice/42 org_acme usr_ann {"amount":1200} <nil>
}
