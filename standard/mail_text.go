package standard

import (
	"fmt"
	"html"
	"strings"

	"github.com/acme/platform/user"
)

// Text is the words of one kind of mail in one language. Subject and Paragraphs may
// name {name}, {organization}, {code} and {expires}, which are of the [user.Mail];
// Button is the text of the link.
type Text struct {
	Subject    string
	Paragraphs []string
	Button     string
}

// Texts are the words of all mails: by language, which is the first part of a BCP 47
// tag such as "de", and by kind. "en" stands in for a language, and for a kind of
// it, that is not there.
//
//	texts := standard.MailTexts()
//	texts["en"][user.MailInvitation] = standard.Text{Subject: "Join {organization}", …}
type Texts map[string]map[user.MailKind]Text

// worded is a mail in words.
type worded struct{ subject, plain, html string }

// expiryForms are how the end of a link is written.
var expiryForms = map[string]string{"en": "2 January 2006 15:04 MST", "de": "02.01.2006 15:04 MST"}

// word puts a mail into words.
func (t Texts) word(m user.Mail) (worded, error) {
	language, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(m.Locale), "_", "-"), "-")
	text, ok := t[language][m.Kind]
	if !ok {
		language = "en"
		if text, ok = t[language][m.Kind]; !ok {
			return worded{}, fmt.Errorf("standard: there is no text for mails of the kind %q; add it to the texts of \"en\"", m.Kind)
		}
	}
	form, ok := expiryForms[language]
	if !ok {
		form = expiryForms["en"]
	}
	expires := ""
	if !m.Expires.IsZero() {
		expires = m.Expires.UTC().Format(form)
	}
	fill := strings.NewReplacer("{name}", m.Name, "{organization}", m.OrganizationName, "{code}", string(m.Code), "{expires}", expires)
	return text.render(fill, string(m.Link)), nil
}

// render writes the plain text, and the same as HTML.
func (t Text) render(fill *strings.Replacer, link string) worded {
	var plain, marked strings.Builder
	for _, p := range t.Paragraphs {
		p = fill.Replace(p)
		plain.WriteString(p + "\n\n")
		marked.WriteString("<p>" + html.EscapeString(p) + "</p>\n")
	}
	if link != "" {
		plain.WriteString(link + "\n")
		fmt.Fprintf(&marked, "<p><a href=\"%s\" rel=\"noreferrer\">%s</a></p>\n", html.EscapeString(link), html.EscapeString(fill.Replace(t.Button)))
	}
	return worded{subject: fill.Replace(t.Subject), plain: plain.String(), html: "<!doctype html>\n<html><body>\n" + marked.String() + "</body></html>\n"}
}

// MailTexts returns a new copy of the texts of the platform, in English and German.
func MailTexts() Texts {
	return Texts{
		"en": {
			user.MailInvitation: {
				Subject:    "You are invited to {organization}",
				Paragraphs: []string{"You are invited to join {organization}.", "The link is valid until {expires}. Whoever has it can accept in your place: do not pass it on."},
				Button:     "Accept the invitation",
			},
		},
		"de": {
			user.MailInvitation: {
				Subject:    "Einladung zu {organization}",
				Paragraphs: []string{"Sie sind eingeladen, {organization} beizutreten.", "Der Link gilt bis {expires}. Wer ihn hat, kann an Ihrer Stelle annehmen: Geben Sie ihn nicht weiter."},
				Button:     "Einladung annehmen",
			},
		},
	}
}
