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
			user.MailVerifyEmail: {
				Subject:    "Confirm your e-mail address",
				Paragraphs: []string{"Please confirm that this address is yours.", "If you have not asked for this, do nothing. The link is valid until {expires}."},
				Button:     "Confirm the address",
			},
			user.MailPasswordReset: {
				Subject:    "Set a new password",
				Paragraphs: []string{"Somebody, hopefully you, asked to set a new password for the account with this address.", "If it was not you, do nothing: your password stays as it is. The link works once, until {expires}."},
				Button:     "Set a new password",
			},
			user.MailSignInLink: {
				Subject:    "Your link to sign in",
				Paragraphs: []string{"This link signs you in. It works once, until {expires}.", "If you have not asked for it, do nothing, and do not pass it on."},
				Button:     "Sign in",
			},
			user.MailSignInCode: {
				Subject:    "Your code to sign in",
				Paragraphs: []string{"Your code is {code}. It works once, until {expires}.", "Type it only where you have asked for it. Nobody of us will ever ask you for it."},
			},
			user.MailFinishSignUp: {
				Subject:    "Finish your sign-up",
				Paragraphs: []string{"This link finishes your sign-up. It works once, until {expires}.", "If you have not asked for it, do nothing."},
				Button:     "Finish the sign-up",
			},
			user.MailAlreadySignedUp: {
				Subject:    "You have an account already",
				Paragraphs: []string{"Somebody, hopefully you, signed up with this address. It has an account already: sign in, or ask for a new password.", "If it was not you, do nothing."},
			},
			user.MailPasswordChanged: {
				Subject:    "Your password was changed",
				Paragraphs: []string{"The password of your account was changed.", "If it was not you, set a new password now."},
			},
			user.MailFactorChanged: {
				Subject:    "Your second factor was changed",
				Paragraphs: []string{"A second factor of your account was added, changed or removed.", "If it was not you, set a new password now and look at your factors."},
			},
			user.MailEmailChanged: {
				Subject:    "Your account has another e-mail address",
				Paragraphs: []string{"The address of your account was changed from this one to another one.", "If it was not you, this link undoes the change until {expires}. It signs out everybody, and you then set a new password."},
				Button:     "Undo the change",
			},
			user.MailEmailAdded: {
				Subject:    "An e-mail address was added to your account",
				Paragraphs: []string{"Another e-mail address was added to your account, and signs in to it from now on.", "If it was not you, set a new password now and remove it."},
			},
			user.MailEmailRemoved: {
				Subject:    "This address was removed from your account",
				Paragraphs: []string{"This e-mail address no longer belongs to your account. Mails go to your other one."},
			},
		},
		"de": {
			user.MailInvitation: {
				Subject:    "Einladung zu {organization}",
				Paragraphs: []string{"Sie sind eingeladen, {organization} beizutreten.", "Der Link gilt bis {expires}. Wer ihn hat, kann an Ihrer Stelle annehmen: Geben Sie ihn nicht weiter."},
				Button:     "Einladung annehmen",
			},
			user.MailVerifyEmail: {
				Subject:    "Bestätigen Sie Ihre E-Mail-Adresse",
				Paragraphs: []string{"Bitte bestätigen Sie, dass diese Adresse Ihnen gehört.", "Haben Sie das nicht angefordert, tun Sie nichts. Der Link gilt bis {expires}."},
				Button:     "Adresse bestätigen",
			},
			user.MailPasswordReset: {
				Subject:    "Neues Passwort festlegen",
				Paragraphs: []string{"Jemand, hoffentlich Sie, möchte für das Konto mit dieser Adresse ein neues Passwort festlegen.", "Waren Sie es nicht, tun Sie nichts: Ihr Passwort bleibt, wie es ist. Der Link gilt einmal, bis {expires}."},
				Button:     "Neues Passwort festlegen",
			},
			user.MailSignInLink: {
				Subject:    "Ihr Link zur Anmeldung",
				Paragraphs: []string{"Dieser Link meldet Sie an. Er gilt einmal, bis {expires}.", "Haben Sie ihn nicht angefordert, tun Sie nichts, und geben Sie ihn nicht weiter."},
				Button:     "Anmelden",
			},
			user.MailSignInCode: {
				Subject:    "Ihr Code zur Anmeldung",
				Paragraphs: []string{"Ihr Code ist {code}. Er gilt einmal, bis {expires}.", "Geben Sie ihn nur dort ein, wo Sie ihn angefordert haben. Niemand von uns wird Sie je danach fragen."},
			},
			user.MailFinishSignUp: {
				Subject:    "Schließen Sie Ihre Registrierung ab",
				Paragraphs: []string{"Dieser Link schließt Ihre Registrierung ab. Er gilt einmal, bis {expires}.", "Haben Sie ihn nicht angefordert, tun Sie nichts."},
				Button:     "Registrierung abschließen",
			},
			user.MailAlreadySignedUp: {
				Subject:    "Sie haben schon ein Konto",
				Paragraphs: []string{"Jemand, hoffentlich Sie, wollte sich mit dieser Adresse registrieren. Zu ihr gibt es schon ein Konto: Melden Sie sich an oder fordern Sie ein neues Passwort an.", "Waren Sie es nicht, tun Sie nichts."},
			},
			user.MailPasswordChanged: {
				Subject:    "Ihr Passwort wurde geändert",
				Paragraphs: []string{"Das Passwort Ihres Kontos wurde geändert.", "Waren Sie es nicht, legen Sie jetzt ein neues fest."},
			},
			user.MailFactorChanged: {
				Subject:    "Ihr zweiter Faktor wurde geändert",
				Paragraphs: []string{"Ein zweiter Faktor Ihres Kontos wurde hinzugefügt, geändert oder entfernt.", "Waren Sie es nicht, legen Sie jetzt ein neues Passwort fest und prüfen Sie Ihre Faktoren."},
			},
			user.MailEmailChanged: {
				Subject:    "Ihr Konto hat eine andere E-Mail-Adresse",
				Paragraphs: []string{"Die Adresse Ihres Kontos wurde von dieser auf eine andere geändert.", "Waren Sie es nicht, macht dieser Link die Änderung bis {expires} rückgängig. Er meldet alle ab, und Sie legen dann ein neues Passwort fest."},
				Button:     "Änderung rückgängig machen",
			},
			user.MailEmailAdded: {
				Subject:    "Ihrem Konto wurde eine E-Mail-Adresse hinzugefügt",
				Paragraphs: []string{"Ihrem Konto wurde eine weitere E-Mail-Adresse hinzugefügt, mit der man sich ab jetzt anmelden kann.", "Waren Sie es nicht, legen Sie jetzt ein neues Passwort fest und entfernen Sie die Adresse."},
			},
			user.MailEmailRemoved: {
				Subject:    "Diese Adresse wurde von Ihrem Konto entfernt",
				Paragraphs: []string{"Diese E-Mail-Adresse gehört nicht mehr zu Ihrem Konto. E-Mails gehen an Ihre andere Adresse."},
			},
		},
	}
}
