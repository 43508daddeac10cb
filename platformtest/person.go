package platformtest

import (
	"net/http"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// password is everybody's.
const password = "correct horse battery staple"

// Person has an account and is signed in.
type Person struct {
	// Principal is who the gateway finds in the person's requests. Go methods take
	// it.
	platform.Principal
	Email string
	// Token is the access token; it is valid for user.Config.AccessTTL. SignIn
	// renews it.
	Token string

	platform *Platform
}

// SignUp makes a person with an account and an organization, which the person
// owns. It needs package user: with Config.Accounts it ends the test.
func (p *Platform) SignUp(email string) *Person {
	p.tb.Helper()
	if p.Users == nil {
		p.tb.Fatal("platformtest: SignUp needs package user, and Config.Accounts is in its place: make people of your own")
	}
	name, _, _ := strings.Cut(email, "@")
	signedUp, err := p.Users.SignUp(p.tb.Context(), user.SignUp{
		Email: email, Password: password, Name: name, Organization: name + "'s organization",
	})
	if err != nil {
		p.tb.Fatalf("platformtest: sign up %s: %v", email, err)
	}
	person := &Person{Email: email, platform: p}
	person.use(signedUp.Tokens)
	return person
}

// Invite makes another person, with an account and an organization of their own,
// and takes them into a's organization with the roles. The person is signed in
// there.
func (a *Person) Invite(email string, roles ...string) *Person {
	p := a.platform
	p.tb.Helper()
	ctx := p.tb.Context()
	_, token, err := p.Users.Invite(ctx, a.Principal, user.NewInvitation{Email: email, Roles: roles})
	if err != nil {
		p.tb.Fatalf("platformtest: invite %s: %v", email, err)
	}
	b := p.SignUp(email)
	if _, _, err := p.Users.AcceptInvitation(ctx, b.Principal, token); err != nil {
		p.tb.Fatalf("platformtest: accept the invitation of %s: %v", email, err)
	}
	in, err := p.Users.Switch(ctx, b.Principal, a.Tenant)
	if err != nil {
		p.tb.Fatalf("platformtest: switch %s to the organization: %v", email, err)
	}
	b.use(in.Tokens)
	return b
}

// SignIn signs the person in again, in the same organization, such as after the
// clock was moved beyond the end of the token.
func (a *Person) SignIn() {
	p := a.platform
	p.tb.Helper()
	in, err := p.Users.LogIn(p.tb.Context(), user.LogIn{Email: a.Email, Password: password, Organization: a.Tenant})
	if err != nil {
		p.tb.Fatalf("platformtest: sign in %s: %v", a.Email, err)
	}
	a.use(in.Tokens)
}

// use takes over new tokens.
func (a *Person) use(tokens user.Tokens) {
	p := a.platform
	p.tb.Helper()
	a.Token = string(tokens.Access)
	var err error
	if a.Principal, err = p.Users.Verify(p.tb.Context(), a.Token); err != nil {
		p.tb.Fatalf("platformtest: the token of %s: %v", a.Email, err)
	}
}

// Do sends a request of the person through the gateway: authentication,
// permissions, limits and all. A body is nil, a string or bytes as they are, or any
// value, which is sent as JSON. The path is without gateway.Config.BasePath.
func (a *Person) Do(method, path string, body any) *Response {
	a.platform.tb.Helper()
	return a.Send(a.platform.request(method, path, body))
}

// Send sends any request of the person through the gateway.
func (a *Person) Send(r *http.Request) *Response {
	a.platform.tb.Helper()
	r.Header.Set("Authorization", "Bearer "+a.Token)
	return a.platform.Send(r)
}
