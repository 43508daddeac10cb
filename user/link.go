package user

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/acme/platform/internal/setting"
)

// Links say where the links of mails lead: to pages of the host's, which read the
// token out of the fragment and send it to the operation that the kind of the mail
// is for. No header of a request has a say in it.
type Links struct {
	// Origin begins every link: "https://app.example.com". It must be set with
	// Config.Mail.
	Origin string
	// Paths are the paths of the pages by kind, where they are other ones than
	// "/invitation" and so on: "/join?step=1".
	Paths map[MailKind]string
	// Redirects are where a page may send the person afterwards, on request: URLs
	// that match byte by byte. Every other one is refused.
	Redirects []string
}

func (l Links) validate(check *setting.Check, needed bool) {
	u, err := url.Parse(l.Origin)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.Fragment == ""
	check.Need(ok || l.Origin == "" && !needed, "Links.Origin",
		`must say where the links of mails lead: Links: user.Links{Origin: "https://app.example.com"}`)
	for i, target := range l.Redirects {
		u, err := url.Parse(target)
		check.Need(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil,
			fmt.Sprintf("Links.Redirects[%d]", i), `must be a whole URL such as "https://app.example.com/home"`)
	}
	for kind, path := range l.Paths {
		check.Need(mailForms[kind].path != "", "Links.Paths["+string(kind)+"]", "must be of a kind of mail that has a link")
		check.Need(strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsAny(path, "#\\ \r\n"),
			"Links.Paths["+string(kind)+"]", `must be a path such as "/invitation"`)
	}
}

// link is where a mail of the kind leads. The token is in the fragment: it reaches
// no log of a server, and no other site by a Referer header.
func (s *Service) link(kind MailKind, token Secret, redirect string) Secret {
	path, ok := s.cfg.Links.Paths[kind]
	if !ok {
		path = mailForms[kind].path
	}
	fragment := "#token=" + url.QueryEscape(string(token))
	if redirect != "" {
		fragment += "&redirect=" + url.QueryEscape(redirect)
	}
	return Secret(strings.TrimSuffix(s.cfg.Links.Origin, "/") + path + fragment)
}
