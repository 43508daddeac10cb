package user

import "github.com/acme/platform"

// Errors that are the same for different causes, so that none tells more than
// another.

func errBadLogin() error {
	return platform.Errorf(platform.KindUnauthenticated, "invalid_credentials", "the e-mail or the password is wrong")
}

func errBadCredential() error {
	return platform.Errorf(platform.KindUnauthenticated, "invalid_token", "the credential is not valid or has ended")
}

func errBadRefresh() error {
	return platform.Errorf(platform.KindUnauthenticated, "invalid_refresh_token", "the refresh token is not valid or has ended")
}

func errForbidden(permission string) error {
	return platform.Errorf(platform.KindForbidden, "forbidden", "this needs the permission %s", permission)
}

func errUserNeeded() error {
	return platform.Errorf(platform.KindForbidden, "user_required", "this needs a signed-in user; an API key cannot do it")
}

func errAboveOwn() error {
	return platform.Errorf(platform.KindForbidden, "above_own_rights", "this would grant or change more than you may do yourself")
}

// errNoMail is of what goes by e-mail where there is no Config.Mail.
func errNoMail() error {
	return platform.Errorf(platform.KindConflict, "email_not_configured", "this goes by e-mail, which this installation does not send")
}

func field(path, code, detail string) error {
	return platform.Invalid(platform.Field{Path: path, Code: code, Detail: detail})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
