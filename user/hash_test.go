package user_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// foreignHash is one that another program has made.
type foreignHash struct{ name, encoded, password string }

// foreignHashes are of libxcrypt 4.4 (bcrypt), Python 3.11's hashlib (scrypt,
// pbkdf2), crypt(5) ($7$) and the reference implementation of argon2.
var foreignHashes = []foreignHash{
	{"bcrypt 2a", "$2a$05$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC", goodPassword},
	{"bcrypt 2b", "$2b$05$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC", goodPassword},
	{"bcrypt 2y", "$2y$05$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC", goodPassword},
	{"bcrypt of 80 bytes", "$2b$05$abcdefghijklmnopqrstuuLkMZtUsVwf9Ptg/wgiNv8ZhtnAHnix.", strings.Repeat("0123456789", 8)},
	{"scrypt", "$scrypt$ln=10,r=8,p=1$TmFDbE5hQ2xOYUNsMTIzNA$RfaMh7eFjBf4JDNkqxggb/4Dfl4x6Y2h4OHUfzdqr2s", goodPassword},
	{"scrypt 7", "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D", "pleaseletmein"},
	{"pbkdf2-sha256 PHC", "$pbkdf2-sha256$i=1000,l=32$TmFDbE5hQ2xOYUNsMTIzNA$eE+uz+xAJaBIKEfTw7kG85gADHdFfXdweZUsnL8J+J8", goodPassword},
	{"pbkdf2-sha256", "$pbkdf2-sha256$1000$TmFDbE5hQ2xOYUNsMTIzNA$eE.uz.xAJaBIKEfTw7kG85gADHdFfXdweZUsnL8J.J8", goodPassword},
	{"pbkdf2-sha256 Django", "pbkdf2_sha256$1000$Zk3PqLm8Yw1R$KItn68EwUQwv5Sz8sP4NOVBIJpPXO2gz3N5Q4FkfsVw=", goodPassword},
	{"pbkdf2-sha512 PHC", "$pbkdf2-sha512$i=1000,l=32$TmFDbE5hQ2xOYUNsMTIzNA$spOfl30QOUszBFgc8C6HpqiuoC8DHTiZZAwudqJLUoc", goodPassword},
	{"pbkdf2-sha512", "$pbkdf2-sha512$1000$TmFDbE5hQ2xOYUNsMTIzNA$spOfl30QOUszBFgc8C6HpqiuoC8DHTiZZAwudqJLUof85aDbTCR1TRPfDSaChvmRzN8OjchXGp.SYnuz2NAhpA", goodPassword},
	{"pbkdf2-sha512 Django", "pbkdf2_sha512$1000$Zk3PqLm8Yw1R$2HxN4GO+RpJNDzYCOMfpjBQ8q4PDl1JSp/tIes9ZZeymvRR+8mC2EYTSPK96yVgYcxgQNeNoXJpCBgsDGynpqA==", goodPassword},
	{"argon2i", "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "password"},
	{"argon2id", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
	{"argon2id of 64 MiB", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
}

// What another program has hashed is verified here.
func TestForeignHashes(t *testing.T) {
	testdb.SQLiteOnly(t)
	for _, f := range foreignHashes {
		right, outdated, err := user.VerifyHash(f.encoded, f.password)
		if !right || !outdated || err != nil {
			t.Errorf("%s: right %v, outdated %v, %v", f.name, right, outdated, err)
		}
		for _, other := range []string{"", "X" + f.password, f.password[1:]} {
			if right, _, err := user.VerifyHash(f.encoded, other); right || err != nil {
				t.Errorf("%s: a wrong password: %v, %v", f.name, right, err)
			}
		}
	}
}

// badHashes are refused before anything is computed, with these codes.
var badHashes = map[string]string{
	"":                                   "format",
	"x":                                  "format",
	"$1$abcdefgh$abcdefghijklmnopqrstu0": "format", // md5crypt
	"$2x$05$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC":                                "format",
	"$2b$03$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC":                                "format",
	"$2b$15$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC":                                "cost",
	"$2b$31$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC":                                "cost",
	"$2b$05$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFCx":                               "format",
	"$argon2d$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":         "format",
	"$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":        "format",
	"$argon2id$v=19$m=0256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":       "format",
	"$argon2id$v=19$m=256,t=2,p=1,x=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":    "format",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4$":       "format",
	"$argon2id$v=19$m=256,t=0,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":        "format",
	"$argon2id$v=19$m=256,t=2,p=0$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":        "format",
	"$argon2id$v=19$m=7,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":          "format",
	"$argon2id$v=19$m=256,t=65,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":       "cost",
	"$argon2id$v=19$m=256,t=2,p=17$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":       "cost",
	"$argon2id$v=19$m=256,t=2,p=257$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":      "format", // less than 8 KiB a thread
	"$argon2id$v=19$m=65536,t=64,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":     "cost",
	"$argon2id$v=19$m=65537,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":      "cost", // of the memory
	"$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4": "cost",
	"$argon2id$v=19$m=4294967296,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4": "format",
	"$argon2id$v=19$m=256,t=2,p=1$c2FsdA$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4":             "format", // 4 bytes of salt
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR":                                       "format", // 9 bytes of digest
	"$scrypt$ln=22,r=8,p=1$TmFDbE5hQ2xOYUNsMTIzNA$RfaMh7eFjBf4JDNkqxggb/4Dfl4x6Y2h4OHUfzdqr2s":    "cost",
	"$scrypt$ln=17,r=8,p=1$TmFDbE5hQ2xOYUNsMTIzNA$RfaMh7eFjBf4JDNkqxggb/4Dfl4x6Y2h4OHUfzdqr2s":    "cost", // 128 MiB
	"$scrypt$ln=63,r=8,p=1$TmFDbE5hQ2xOYUNsMTIzNA$RfaMh7eFjBf4JDNkqxggb/4Dfl4x6Y2h4OHUfzdqr2s":    "cost",
	"$scrypt$ln=10,r=8,p=300$TmFDbE5hQ2xOYUNsMTIzNA$RfaMh7eFjBf4JDNkqxggb/4Dfl4x6Y2h4OHUfzdqr2s":  "cost",
	"$scrypt$ln=10,r=8,p=0$TmFDbE5hQ2xOYUNsMTIzNA$RfaMh7eFjBf4JDNkqxggb/4Dfl4x6Y2h4OHUfzdqr2s":    "format",
	"$scrypt$ln=10,r=8,p=1$TmFDbE5hQ2xOYUNsMTIzNA":                                                "format",
	"$7$S6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D":                    "cost",
	"$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8":                     "format",
	"$7$C6..../....Salt$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D":                              "format",
	"$7$C6": "format",
	"$pbkdf2-sha256$i=2500001,l=32$TmFDbE5hQ2xOYUNsMTIzNA$eE+uz+xAJaBIKEfTw7kG85gADHdFfXdweZUsnL8J+J8":                                       "cost",
	"$pbkdf2-sha256$i=1250001$TmFDbE5hQ2xOYUNsMTIzNA$spOfl30QOUszBFgc8C6HpqiuoC8DHTiZZAwudqJLUof85aDbTCR1TRPfDSaChvmRzN8OjchXGp.SYnuz2NAhpA": "cost", // of two blocks
	"$pbkdf2-sha256$i=9223372036854775807$TmFDbE5hQ2xOYUNsMTIzNA$eE+uz+xAJaBIKEfTw7kG85gADHdFfXdweZUsnL8J+J8":                                "cost",
	"$pbkdf2-sha256$i=0$TmFDbE5hQ2xOYUNsMTIzNA$eE+uz+xAJaBIKEfTw7kG85gADHdFfXdweZUsnL8J+J8":                                                  "format",
	"$pbkdf2-sha256$i=-1$TmFDbE5hQ2xOYUNsMTIzNA$eE+uz+xAJaBIKEfTw7kG85gADHdFfXdweZUsnL8J+J8":                                                 "format",
	"$pbkdf2-sha256$i=1000,l=31$TmFDbE5hQ2xOYUNsMTIzNA$eE+uz+xAJaBIKEfTw7kG85gADHdFfXdweZUsnL8J+J8":                                          "format",
	"pbkdf2_sha256$1000$salt$KItn68EwUQwv5Sz8sP4NOVBIJpPXO2gz3N5Q4FkfsVw=":                                                                   "format",
	"$pbkdf2_sha256$1000$Zk3PqLm8Yw1R$KItn68EwUQwv5Sz8sP4NOVBIJpPXO2gz3N5Q4FkfsVw=":                                                          "format",
	"pbkdf2_sha256$1000$" + strings.Repeat("s", 65) + "$KItn68EwUQwv5Sz8sP4NOVBIJpPXO2gz3N5Q4FkfsVw=":                                        "format",
	"$argon2id$" + strings.Repeat("x", 1000):                                                                                                 "format",
}

func TestBadHashesAreRefused(t *testing.T) {
	testdb.SQLiteOnly(t)
	for encoded, code := range badHashes {
		if got := user.HashFault(encoded); got != code {
			t.Errorf("%q: %q, want %q", encoded, got, code)
		}
	}
}

// hashOf is the stored hash of a person.
func (b *bundle) hashOf(t *testing.T, id string) (hash string) {
	t.Helper()
	noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT hash FROM user_passwords WHERE user_id = ?`, id).Scan(&hash)
	}))
	return hash
}

// All hashing together, of our hashes and of others with more memory, stays within
// the memory of the Config, and takes no more turns than there are.
func TestHashingStaysWithinItsMemory(t *testing.T) {
	testdb.SQLiteOnly(t)
	const turns, room = 3, 60
	l := user.NewHashLinesWithin(turns, 1000, room)
	var (
		wg            sync.WaitGroup
		taken, used   atomic.Int64
		refused, most atomic.Int64
	)
	for i := range 400 {
		wg.Go(func() {
			memory := []int64{19, 19, 1, 60, 40}[i%5]
			account := ""
			if i%3 == 0 {
				account = string(rune('a' + i%26))
			}
			if l.AcquireWithin(t.Context(), account, memory) != nil {
				refused.Add(1)
				return
			}
			now := used.Add(memory)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			if n := taken.Add(1); n > turns || now > room {
				t.Errorf("%d turns with %d at once", n, now)
			}
			taken.Add(-1)
			used.Add(-memory)
			l.ReleaseWithin(memory)
		})
	}
	wg.Wait()
	if refused.Load() > 200 || most.Load() < 40 {
		t.Errorf("%d refused, at most %d at once", refused.Load(), most.Load())
	}
	noError(t, l.AcquireWithin(t.Context(), "", room)) // all was given back
	l.ReleaseWithin(room)
}

// A turn that is free is not given where its memory is not.
func TestNoTurnWithoutMemory(t *testing.T) {
	testdb.SQLiteOnly(t)
	l := user.NewHashLinesWithin(4, 10, 64)
	noError(t, l.AcquireWithin(t.Context(), "", 40))
	gone, leave := context.WithCancel(t.Context())
	leave()
	if l.AcquireWithin(gone, "", 40) == nil {
		t.Error("80 of 64 are given")
	}
	noError(t, l.AcquireWithin(gone, "", 24))
}

// A hash that needs much memory waits until there is room, is not overtaken, and
// keeps nobody waiting once it has left.
func TestALargeHashWaitsItsTurn(t *testing.T) {
	testdb.SQLiteOnly(t)
	l := user.NewHashLinesWithin(4, 10, 64)
	noError(t, l.AcquireWithin(t.Context(), "", 19))
	large, small := make(chan error), make(chan error)
	ctx, leave := context.WithCancel(t.Context())
	go func() { large <- l.AcquireWithin(ctx, "", 64) }()
	l.Await(1)
	go func() { small <- l.AcquireWithin(t.Context(), "", 19) }()
	l.Await(2) // behind it, although there would be room
	leave()
	if err := <-large; err == nil {
		t.Error("it has its turn beside another")
	}
	noError(t, <-small)
	go func() { large <- l.AcquireWithin(t.Context(), "", 64) }()
	l.Await(1)
	l.ReleaseWithin(19)
	l.ReleaseWithin(19)
	noError(t, <-large)
}

func TestPasswordMemory(t *testing.T) {
	testdb.SQLiteOnly(t)
	_, err := user.New(user.Config{PasswordMemory: 18 << 20})
	if err == nil || !strings.Contains(err.Error(), "PasswordMemory") {
		t.Errorf("got %v", err)
	}
	b := open(t, func(c *user.Config) { c.PasswordMemory = 32 << 20 })
	_, err = b.ImportUsers(t.Context(), platform.System(platform.NoTenant, "test"), []user.ImportUser{
		{Email: "ann@example.com", Name: "Ann", PasswordHash: "$argon2id$v=19$m=32769,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
	})
	wantField(t, err, "/0/password_hash", "cost")
}
