package standard

import (
	"strings"
	"testing"

	"github.com/acme/platform/user"
)

// Every kind of mail has words in English and German, and they name the link.
func TestEveryMailHasWords(t *testing.T) {
	texts := MailTexts()
	for _, language := range []string{"en", "de"} {
		for _, kind := range user.MailKinds() {
			if _, ok := texts[language][kind]; !ok {
				t.Errorf("%s has no text in %s", kind, language)
			}
		}
	}
	m := user.Mail{Kind: user.MailInvitation, Locale: "de-AT", OrganizationName: `<b>Ann & Co`, Link: "https://app.example.com/x#token=it_1_2"}
	text, err := texts.word(m)
	if err != nil || !strings.Contains(text.subject, "Einladung zu <b>Ann & Co") || !strings.Contains(text.plain, "\nhttps://app.example.com/x#token=it_1_2\n") {
		t.Errorf("%+v, %v", text, err)
	}
	if strings.Contains(text.html, "<b>") || !strings.Contains(text.html, `href="https://app.example.com/x#token=it_1_2"`) {
		t.Errorf("the HTML is %s", text.html)
	}
	for _, locale := range []string{"", "fr", "EN_us"} {
		m.Locale = locale
		if text, err := texts.word(m); err != nil || !strings.HasPrefix(text.subject, "You are invited") {
			t.Errorf("%q: %+v, %v", locale, text, err)
		}
	}
	if _, err := texts.word(user.Mail{Kind: "unknown"}); err == nil {
		t.Error("a mail without words is no error")
	}
}
