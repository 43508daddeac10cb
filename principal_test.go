package platform_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/data"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/user"
)

// keepTenant are the exported methods that name a tenant and take no principal,
// and why.
var keepTenant = map[string]string{
	"data.Usage":                 "platform.UsageReporter: the installation asks for a tenant, nobody in it does",
	"analytics.Usage":            "platform.UsageReporter",
	"notify.Usage":               "platform.UsageReporter",
	"user.Usage":                 "platform.UsageReporter",
	"user.Suspended":             "platform.Suspensions: asked by background work about whatever tenant comes next",
	"user.SetOrganizationStatus": "an act of the installation upon an organization, not of anybody in it",
}

// ofPersons are the methods whose principal is a person before an organization
// is chosen: what they touch is that person's.
var ofPersons = []string{
	"user.Me", "user.UpdateMe", "user.Organizations", "user.CreateOrganization", "user.Switch", "user.LogOut", "user.RevokeSession", "user.Sessions", "user.AcceptInvitation",
	"user.LeaveOrganization", "user.RevokeSessions", "user.StepUp", "user.StepUpOptions",
	"user.PasskeyOptions", "user.AddPasskey", "user.Passkeys", "user.RenamePasskey", "user.RemovePasskey",
	"user.Factors", "user.BeginTOTP", "user.ConfirmTOTP", "user.RemoveTOTP", "user.MakeRecoveryCodes", "user.SecurityEvents", "user.Refused",
	"user.Emails", "user.AddEmail", "user.RemoveEmail", "user.SetPrimaryEmail",
}

// ofOperators are the methods of who runs the installation: they refuse everybody
// else, and take the principal for the record.
var ofOperators = []string{
	"user.AllOrganizations", "user.OperateOrganization", "user.OperatorKeys", "user.RevokeOperatorKey", "user.ImportUsers", "user.ImportLines", "user.OperatorAudit", "user.CheckOperatorAudit", "user.ExportOperatorAudit", "user.RecordOperator", "notify.DisableRule", "notify.RuleFailures",
	"user.RevokeSigningKey", "user.RotateSigningKey", "user.SigningKeys",
}

func TestMethodsTakeThePrincipal(t *testing.T) {
	var (
		ctx       = reflect.TypeFor[context.Context]()
		tenant    = reflect.TypeFor[platform.TenantID]()
		principal = reflect.TypeFor[platform.Principal]()
	)
	taking := 0
	for name, service := range map[string]any{
		"analytics": &analytics.Service{}, "data": &data.Service{}, "notify": &notify.Service{}, "user": &user.Service{},
	} {
		v := reflect.ValueOf(service)
		for i := range v.NumMethod() {
			m, id := v.Type().Method(i), name+"."+v.Type().Method(i).Name
			in := m.Type
			if in.NumIn() < 3 || in.In(1) != ctx {
				continue
			}
			switch in.In(2) {
			case tenant:
				if keepTenant[id] == "" {
					t.Errorf("%s takes a tenant: it must take the principal, or say in keepTenant why not", id)
				}
			case principal:
				taking++
				if !slices.Contains(ofPersons, id) && !slices.Contains(ofOperators, id) {
					refusesWithoutTenant(t, id, v.Method(i))
				}
			}
		}
	}
	if taking < 60 {
		t.Errorf("%d methods take a principal; the test looks past some", taking)
	}
}

// refusesWithoutTenant calls a method of an empty service, which would panic at
// whatever it did before it looked at the principal.
func refusesWithoutTenant(t *testing.T, name string, method reflect.Value) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s does something before it looks for a tenant: %v", name, r)
		}
	}()
	for _, p := range []platform.Principal{
		{}, {Tenant: "-", Subject: "usr_1"}, {Tenant: "a b"}, platform.System("", "x"),
	} {
		args := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(p)}
		for i := 2; i < method.Type().NumIn() && (!method.Type().IsVariadic() || i < method.Type().NumIn()-1); i++ {
			args = append(args, reflect.Zero(method.Type().In(i)))
		}
		out := method.Call(args)
		err, _ := out[len(out)-1].Interface().(error)
		if platform.KindOf(err) != platform.KindUnauthenticated {
			t.Errorf("%s with the principal %v: got %v", name, p, err)
		}
	}
}

func TestSystem(t *testing.T) {
	p := platform.System("org_1", "billing")
	if p.Kind != platform.PrincipalSystem || p.Tenant != "org_1" || p.Subject != "billing" || p.RequireTenant() != nil {
		t.Errorf("got %+v", p)
	}
}
