package user

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// Config configures a [Service]. DB, Sealer, Issuer and Cache must be set.
type Config struct {
	// DB keeps everything, the signing keys sealed by Sealer.
	DB store.Relational
	// Sealer encrypts what must not be readable in DB. All processes of an
	// installation must have the same keyset. Package store/seal has one.
	Sealer store.Sealer
	// Passkeys speaks WebAuthn; nil is an installation without passkeys. Package
	// user/passkey has one.
	Passkeys PasskeyEngine
	// Issuer names this installation in the iss claim of its access tokens,
	// as an absolute URL such as "https://api.example.com". It has no
	// default, so that two installations never accept each other's tokens
	// by accident.
	Issuer string
	// Audience is the aud claim of the access tokens; empty is Issuer.
	Audience string
	// Cache counts failed logins and invitations. Processes of one
	// installation should share it: an attacker has the free tries once for
	// each cache. What strangers ask for should not fill it: a cache of
	// bounded memory is not the one that a gateway keeps answers in.
	Cache store.Cache
	// PubSub tells other processes at once of a revocation. Without it they
	// learn of it within VerifyTTL.
	PubSub store.PubSub
	// Logger takes what happens in the background; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// NewID makes ids; nil is [platform.NewID].
	NewID func(prefix string) string

	// AccessTTL is how long an access token is valid: 1 s to 1 h, zero is
	// 10 min.
	AccessTTL time.Duration
	// RefreshIdle ends a session that was not refreshed, or whose cookie was not
	// used, for so long; zero is 30 days. An organization can set less.
	RefreshIdle time.Duration
	// RefreshMax ends a session so long after the sign-in, however often it was
	// refreshed or used; zero is 90 days. An organization can set less.
	RefreshMax time.Duration
	// RefreshGrace is for how long after a rotation the token before the
	// current one still yields the current one, for clients that refresh
	// twice at once or lose the answer: up to 1 min, zero is 10 s. For as long
	// a cookie's value before the present one goes on after a change of
	// organization, for requests that were under way.
	RefreshGrace time.Duration
	// CookieName names the session cookie, behind "__Host-": 1 to 64 letters,
	// digits, '_' and '-'. Empty is a name that Issuer gives, so that two
	// platforms on one host do not take each other's.
	CookieName string
	// InvitationTTL is how long an invitation can be accepted; zero is 7 days.
	InvitationTTL time.Duration
	// SigningAlgorithm is that of new signing keys: "EdDSA" (Ed25519), "ES256" or
	// "RS256" (3072 bits), as the verifiers of the host know it; empty is EdDSA.
	// After a change a new key is published at the start and signs a day later, or
	// after a quarter of KeyRotation; tokens of the old one are good until they end.
	SigningAlgorithm string
	// KeyRotation is how long one signing key signs: at least 1 h, zero is
	// 30 days.
	KeyRotation time.Duration
	// VerifyTTL bounds how long another process may go on accepting what was
	// revoked here: up to 1 min, zero is 5 s. In this process a revocation
	// acts at once.
	VerifyTTL time.Duration

	// KeyPrefix begins every API key, so that secret scanners find them: 2
	// to 16 letters and digits in lower case, empty is "ak". The token
	// prefixes "rt", "it", "mt", "op", "si" and "cs" are taken.
	KeyPrefix string
	// PasswordConcurrency is how many passwords are hashed at once, each in
	// 19 MiB and some 25 ms of one core; zero is half of GOMAXPROCS, and at
	// least 1: sign-ins leave the other half to everything else.
	PasswordConcurrency int
	// PasswordQueue is how many more may wait for that, of strangers and of
	// users on known devices each; what comes on top is refused with
	// [platform.KindUnavailable]. Zero is 32 for each that is hashed at once.
	PasswordQueue int
	// PasswordMemory is how much memory all hashing together may take, in bytes;
	// zero is 19 MiB for each of PasswordConcurrency, and at least 64 MiB. Hashes
	// from elsewhere that need more than that are refused ([Service.ImportUsers]).
	PasswordMemory int64
	// Breaches looks new passwords up among those that are known from breaches;
	// nil looks at the list of this package alone.
	Breaches *Breaches

	// Limits bounds the members of a tenant and the organizations of a user
	// by the host's plans; nil is the defaults. It need not come from
	// [Service.Limits].
	Limits platform.LimitsFunc

	// AuditRetention is for how long the audit keeps records; the zero value is
	// for ever.
	AuditRetention AuditRetention

	// Roles adds permissions to the built-in roles, and roles to every
	// tenant: role name to permission patterns ("acme.reports.*"). With the
	// built-in ones they are at most 64.
	Roles map[string][]string
	// ResourceTypes are the types that the host's code asks [Service.Can] about.
	// Rules of an organization may be limited to resources of these types; one
	// about another type is refused, since nothing would ask for it.
	ResourceTypes []string
	// AccessModel is a model of casbin's that decides which rules apply, in place
	// of [DefaultAccessModel], from which it must differ in its matcher alone. Every
	// decision is then casbin's: some 10 µs and more, growing with the rules
	// of the organization. Empty is the default, which casbin is not asked for.
	AccessModel string
	// Mail sends one e-mail to a person, such as by [standard.Mails]. A job calls
	// it, outside of any transaction and from many goroutines at once. After an error it
	// is called again later with another secret in the link, and not after one of
	// [queue.Discard]. It must not keep or log Link and Code. Nil is no e-mail: what
	// needs one is refused with the code "email_not_configured". With it Jobs and
	// Links.Origin must be set.
	//
	// [standard.Mails]: https://pkg.go.dev/github.com/acme/platform/standard#Mails
	Mail func(ctx context.Context, m Mail) error
	// Jobs runs what sends the mails. Its store must be DB, and it must not have
	// been started.
	Jobs *queue.Queue
	// SignUp is who may make an account; "" is SignUpOpen. SignUpConfirmed needs
	// Mail.
	SignUp SignUpMode
	// Links are where the links of mails lead.
	Links Links
}

var keyPrefixPattern = regexp.MustCompile(`^[a-z][a-z0-9]{1,15}$`)

const (
	day = 24 * time.Hour
)

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.AccessTTL, 10 * time.Minute},
		{&c.RefreshIdle, 30 * day},
		{&c.RefreshMax, 90 * day},
		{&c.RefreshGrace, 10 * time.Second},
		{&c.InvitationTTL, 7 * day},
		{&c.KeyRotation, 30 * day},
		{&c.VerifyTTL, 5 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = platform.NewID
	}
	if c.SigningAlgorithm == "" {
		c.SigningAlgorithm = "EdDSA"
	}
	if c.SignUp == "" {
		c.SignUp = SignUpOpen
	}
	if c.KeyPrefix == "" {
		c.KeyPrefix = "ak"
	}
	if c.PasswordConcurrency == 0 {
		c.PasswordConcurrency = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if c.PasswordQueue == 0 {
		c.PasswordQueue = 32 * c.PasswordConcurrency
	}
	if c.PasswordMemory == 0 {
		c.PasswordMemory = max(64<<20, int64(c.PasswordConcurrency)*currentMemory*1024)
	}
	c.Roles = maps.Clone(c.Roles)
	return c
}

func (c Config) validate() error {
	check := setting.For("user")
	check.Need(c.DB != nil, "DB", "must be set")
	check.Need(c.Sealer != nil, "Sealer", `must be set, such as seal.New(seal.Config{Keys: seal.File("/etc/acme/platform.keys")})`)
	check.Need(absoluteURL(c.Issuer), "Issuer", "must be an absolute http or https URL")
	check.Need(c.Cache != nil, "Cache", "must be set")
	check.Need(c.AccessTTL >= time.Second && c.AccessTTL <= time.Hour, "AccessTTL", "must be from 1s to 1h")
	check.Need(c.RefreshIdle > c.AccessTTL, "RefreshIdle", "must be longer than AccessTTL")
	check.Need(c.RefreshMax >= c.RefreshIdle, "RefreshMax", "must be at least RefreshIdle")
	check.Need(c.RefreshGrace > 0 && c.RefreshGrace <= time.Minute, "RefreshGrace", "must be positive and up to 1m")
	check.Need(c.CookieName == "" || cookieNamePattern.MatchString(c.CookieName), "CookieName", "must be 1 to 64 letters, digits, '_' and '-': the prefix __Host- is put before it")
	check.Need(c.InvitationTTL > 0, "InvitationTTL", "must be positive")
	check.Need(validSigningAlgorithm(c.SigningAlgorithm), "SigningAlgorithm", "must be EdDSA, ES256 or RS256")
	check.Need(c.KeyRotation >= time.Hour, "KeyRotation", "must be at least 1h")
	check.Need(c.VerifyTTL > 0 && c.VerifyTTL <= time.Minute, "VerifyTTL", "must be positive and up to 1m")
	check.Need(keyPrefixPattern.MatchString(c.KeyPrefix) && !slices.Contains(takenPrefixes(), c.KeyPrefix),
		"KeyPrefix", "must be 2 to 16 letters and digits in lower case, and not rt, it, mt, op, si or cs")
	check.Need(c.PasswordConcurrency > 0, "PasswordConcurrency", "must be positive")
	check.Need(c.PasswordQueue > 0, "PasswordQueue", "must be positive")
	check.Need(c.PasswordMemory >= currentMemory*1024 && c.PasswordMemory <= 16<<30, "PasswordMemory", "must be from 19 MiB to 16 GiB")
	if b := c.Breaches; b != nil {
		check.Need(b.Range != nil, "Breaches.Range", "must be set, such as to user.PwnedPasswords{}.Range")
		check.Need(b.Unavailable == AcceptUnchecked || b.Unavailable == RefuseUnchecked, "Breaches.Unavailable",
			"must be AcceptUnchecked or RefuseUnchecked: what becomes of a password while the list does not answer")
	}
	check.Need(c.Mail == nil || c.Jobs != nil, "Jobs", "must be set with Mail: a job sends each mail, such as Jobs: queue")
	check.Need(c.SignUp == SignUpOpen || c.SignUp == SignUpConfirmed || c.SignUp == SignUpClosed, "SignUp",
		"must be user.SignUpOpen, user.SignUpConfirmed or user.SignUpClosed")
	check.Need(c.SignUp != SignUpConfirmed || c.Mail != nil, "Mail", "must be set with SignUpConfirmed: a mail finishes each sign-up")
	c.Links.validate(check, c.Mail != nil)
	c.AuditRetention.validate(check)
	for _, name := range slices.Sorted(maps.Keys(c.Roles)) {
		check.Need(validRoleName(name), "Roles["+name+"]", "must have a name of letters, digits, - and _ in lower case")
		for _, p := range c.Roles[name] {
			check.Need(validPattern(p), "Roles["+name+"]", "must hold permission patterns such as \"data.*\"")
		}
	}
	check.Need(len(mergeRoles(c.Roles)) <= maxSharedRoles, "Roles", "must be at most 64 with the built-in ones")
	for _, t := range c.ResourceTypes {
		check.Need(resourceName.MatchString(t), "ResourceTypes", "must be up to 63 letters, digits, - and _ that begin with a letter")
	}
	if c.AccessModel != "" {
		err := checkAccessModel(c.AccessModel)
		check.Need(err == nil, "AccessModel", fmt.Sprintf("must be DefaultAccessModel with another matcher: %v", err))
	}
	return check.Err()
}

// takenPrefixes are those of tokens that are no API keys.
func takenPrefixes() []string {
	return []string{refreshPrefix, invitationPrefix, mailTokenPrefix, operatorPrefix, pendingPrefix, cookiePrefix}
}
