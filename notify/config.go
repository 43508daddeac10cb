package notify

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// Config configures a [Service]. DB, Sealer, Events, Queue and Directory are required.
type Config struct {
	// DB holds messages, deliveries, templates, rules and endpoints.
	DB store.Relational
	// Sealer encrypts the secrets of endpoints. All processes of an installation
	// must have the same keyset. Package store/seal has one.
	Sealer store.Sealer
	// Events is the stream that rules and endpoints listen to.
	Events store.Events
	// Queue runs the deliveries; its store must be DB. Its Limits say how many
	// of them a tenant has under way ([platform.Limits.Deliveries]). Its
	// Suspensions say whose deliveries and rules wait and whose live streams
	// end.
	Queue *queue.Queue
	// Directory knows the tenants' people.
	Directory Directory
	// Limits are those of the tenants; nil gives each the defaults. It is
	// never called inside a transaction. The
	// service counts "notify.messages", "notify.fan_out", "notify.rules",
	// "notify.templates", "notify.endpoints", "notify.emails",
	// "notify.emails_per_sender" and "notify.emails_per_recipient".
	Limits platform.LimitsFunc
	// Mail takes e-mails away: an [*SMTP], a [*MailFolder] or the host's own.
	// Nil is no e-mail: sending to the e-mail channel is then refused with the
	// code "email_not_configured".
	Mail Mailer
	// Authorizer and VerifiedSender decide who may send e-mail to addresses
	// that are no members' over HTTP: whoever has the permission
	// "notify.emails.external" and is a verified sender, such as a person who
	// has proved that mail to their own address reaches them. Where one of the
	// two is nil nobody may. [Service.Send] and [Service.SendIn] ask neither:
	// they are the host's own code.
	Authorizer     Authorizer
	VerifiedSender func(ctx context.Context, p platform.Principal) (bool, error)
	// Audit notes in the tenant's audit, in the transaction of the effect, what an
	// operator did to something of the tenant's; user.Service.RecordOperator does.
	// Nil is for a host that keeps no audit.
	Audit func(ctx context.Context, tx store.Tx, p platform.Principal, operation, target string) error
	// Rules hold for every tenant, under the id "builtin:" and their ID. A
	// tenant can switch one off, not change it. They cannot refer to a
	// template.
	Rules []Rule
	// PubSub tells the live streams of all processes that an inbox has
	// changed. Without it the route notify.inbox.stream is not offered.
	PubSub store.PubSub
	// StreamTTL ends a live stream, so that its client connects again with the
	// credential that it has by then: 1 s to 1 h, zero is 5 min. It bounds for
	// how long one that has ended hears of its inbox where nothing in front
	// of the service ends the request with the credential.
	StreamTTL time.Duration
	// MaxStreams bounds the live streams of this process, each a goroutine
	// and a connection; zero is 10,000. One user has at most 20.
	MaxStreams int
	// WebhookWorkers and EmailWorkers are how many webhooks and e-mails are
	// under way at once in this process; zero is 128 and 16, the most 1,000.
	WebhookWorkers, EmailWorkers int
	// AllowPrivateNetworks lets webhooks go to loopback and private
	// addresses, and over plain http. It hands every tenant who may write
	// endpoints a way to the services of this machine and its network: set it
	// for tests and where the tenants are trusted with that.
	AllowPrivateNetworks bool
	// DisableAfter is how long an endpoint may fail without one success until
	// it is switched off; zero is five days.
	DisableAfter time.Duration
	// SecretGrace is how long the old secret of an endpoint signs beside the
	// new one after a rotation; zero is 24 hours.
	SecretGrace time.Duration
	// MessageRetention is how long messages are kept, with their entries in
	// inboxes, read or not, and their deliveries, and how long the failures of
	// rules are shown: zero is 90 days, the least is 7 days, and a negative
	// one keeps them for ever. A message's ID is known as long as it is kept.
	MessageRetention time.Duration
	// DeliveryRetention is how long the deliveries to endpoints are kept, with
	// what was sent: zero is 30 days, the least is 7 days, and a negative one
	// keeps them for as long as MessageRetention keeps their messages, and
	// those of events for ever.
	DeliveryRetention time.Duration
	// Notices are those who are told that an endpoint was switched off; the
	// zero value is the roles owner and admin.
	Notices Audience
	// Logger takes failures that no caller sees; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// NewID makes ids; nil is platform.NewID. Ids must not contain a dot.
	NewID func(prefix string) string
	// Rand returns numbers evenly from [0, 1) for the jitter of retries; nil
	// is math/rand/v2. Many goroutines call it at once.
	Rand func() float64
}

// rolesOwnerAdmin are the roles that the user service gives to those who
// answer for an organization.
func rolesOwnerAdmin() Audience { return Audience{Roles: []string{"owner", "admin"}} }

var builtinName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// withDefaults returns a filled copy of cfg, or one error that names every
// field that is wrong.
func (cfg Config) withDefaults() (Config, error) {
	check := setting.For("notify")
	check.Need(cfg.DB != nil, "DB", "must be set")
	check.Need(cfg.Sealer != nil, "Sealer", `must be set, such as seal.New(seal.Config{Keys: seal.File("/etc/acme/platform.keys")})`)
	check.Need(cfg.Events != nil, "Events", "must be set")
	check.Need(cfg.Queue != nil, "Queue", "must be set")
	check.Need(cfg.Directory != nil, "Directory", "must be set")
	check.Need(cfg.DisableAfter >= 0, "DisableAfter", "must not be negative")
	check.Need(cfg.SecretGrace >= 0, "SecretGrace", "must not be negative")
	check.Need(cfg.StreamTTL == 0 || cfg.StreamTTL >= time.Second && cfg.StreamTTL <= time.Hour, "StreamTTL", "must be from 1s to 1h")
	for field, age := range map[string]time.Duration{"MessageRetention": cfg.MessageRetention, "DeliveryRetention": cfg.DeliveryRetention} {
		check.Need(age <= 0 || age >= leastRetention, field, "must be at least 7 days, or negative to keep everything")
	}
	check.Need(cfg.MaxStreams >= 0, "MaxStreams", "must not be negative")
	check.Need(cfg.WebhookWorkers >= 0 && cfg.WebhookWorkers <= maxWorkers, "WebhookWorkers", "must be 1 to 1,000")
	check.Need(cfg.EmailWorkers >= 0 && cfg.EmailWorkers <= maxWorkers, "EmailWorkers", "must be 1 to 1,000")
	if m, ok := cfg.Mail.(preparedMailer); ok {
		cfg.Mail = m.prepare(check)
	}
	cfg.Rules = slices.Clone(cfg.Rules)
	seen := make(map[string]bool)
	for i := range cfg.Rules {
		r := &cfg.Rules[i]
		field := fmt.Sprintf("Rules[%d]", i)
		r.ID = strings.TrimPrefix(r.ID, builtinPrefix)
		check.Need(builtinName.MatchString(r.ID) && !seen[r.ID], field+".ID", "must be a unique name of a-z, 0-9, '-' and '_'")
		seen[r.ID] = true
		r.ID = builtinPrefix + r.ID
		check.Need(r.Template == "", field+".Template", "must be empty: a built-in rule has its text in itself")
		if err := r.validate(cfg.Mail != nil); err != nil {
			check.Need(false, field, "is not valid: "+err.Error())
		}
	}
	if err := check.Err(); err != nil {
		return Config{}, err
	}
	if cfg.DisableAfter == 0 {
		cfg.DisableAfter = 5 * 24 * time.Hour
	}
	if cfg.SecretGrace == 0 {
		cfg.SecretGrace = 24 * time.Hour
	}
	cfg.MessageRetention = cmp.Or(cfg.MessageRetention, 90*24*time.Hour)
	cfg.DeliveryRetention = cmp.Or(cfg.DeliveryRetention, 30*24*time.Hour)
	cfg.StreamTTL = cmp.Or(cfg.StreamTTL, 5*time.Minute)
	cfg.MaxStreams = cmp.Or(cfg.MaxStreams, 10_000)
	cfg.WebhookWorkers = cmp.Or(cfg.WebhookWorkers, webhookWorkers)
	cfg.EmailWorkers = cmp.Or(cfg.EmailWorkers, emailWorkers)
	if cfg.Notices.IsZero() {
		cfg.Notices = rolesOwnerAdmin()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = platform.NewID
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	return cfg, nil
}
