package account_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
	"github.com/troupedev/troupe/services/internal/account"
)

func TestMain(m *testing.M) { testmain.Run(m) }

func TestAnAddressInARequestIsABareOne(t *testing.T) {
	for address, ok := range map[string]bool{
		"ada@example.com":          true,
		"Ada@Example.com":          true,
		"ada+shop@example.com":     true,
		"Ä@example.com":            true,
		"Ada <ada@example.com>":    false,
		"<ada@example.com>":        false,
		" ada@example.com":         false,
		"ada@example.com (Ada)":    false,
		`"ada"@example.com`:        false,
		"Ada <ada@example.com> ":   false,
		"=?utf-8?q?=C3=84?= <a@b>": false,
	} {
		e := account.Email(address)
		at := huma.NewPathBuffer([]byte("body.email"), len("body.email"))
		refused := e.Resolve(nil, at)
		if ok != (len(refused) == 0) {
			t.Errorf("%q: got %v", address, refused)
		}
		if !ok && !strings.Contains(refused[0].Error(), "body.email") {
			t.Errorf("%q: %v does not say where", address, refused[0])
		}
	}
}

func TestAKeyIsOfOneAddressHoweverItIsWritten(t *testing.T) {
	for address, same := range map[string]string{
		"ada@example.com": "ADA@Example.COM",
		"ä@example.com":   "Ä@example.com",
		"bob@example.com": "Bob <BOB@example.com>",
		"ada":             "Ada",
	} {
		if account.Key(address) != account.Key(same) {
			t.Errorf("the keys of %q and %q differ", address, same)
		}
	}
	if account.Key("ada@example.com") == account.Key("bob@example.com") || account.Key("") != "" {
		t.Error("two addresses have one key, or none has any")
	}
}

func FuzzKey(f *testing.F) {
	f.Add("Ada <ada@example.com>")
	f.Add("\"")
	f.Fuzz(func(t *testing.T, address string) {
		e := account.Email(address)
		key := account.Key(address)
		if (key == "") != (address == "") || key != account.Key(address) {
			t.Errorf("the key of %q is %q", address, key)
		}
		bare := len(e.Resolve(nil, huma.NewPathBuffer(nil, 0))) == 0
		ascii := strings.IndexFunc(address, func(r rune) bool { return r > unicode.MaxASCII }) < 0
		if bare && ascii && account.Key(strings.ToUpper(address)) != key {
			t.Errorf("%q in upper case has another key", address)
		}
	})
}

// notes is a service that keeps whom a note is of.
var notes = store.Tables(fstest.MapFS{"00001_notes.sql": {Data: []byte(`-- +goose Up
create table notes (note text primary key, person text not null);
create table people (address text primary key, id text not null);
`)}})

// TestWhatIsWrittenDuringAClosureLeadsToNobody lets notes of one person be taken
// while the account is closed: whatever was in hand, and whatever comes later,
// cannot be told to be theirs.
func TestWhatIsWrittenDuringAClosureLeadsToNobody(t *testing.T) {
	const people, each = 10, 10
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "notes", notes, nil)
		var all sync.WaitGroup
		for p := range people {
			address := fmt.Sprintf("p%d@example.com", p)
			for n := range each {
				all.Go(func() { note(t, db, fmt.Sprintf("%d-%d", p, n), address) })
			}
			all.Go(func() { forget(t, db, address) })
		}
		all.Wait()
		note(t, db, "late", "P0@example.com")
		note(t, db, "other", "grace@example.com")
		err := db.Read(t.Context(), func(ctx context.Context) error {
			var taken, known int
			if err := store.Tx(ctx).QueryRowContext(ctx, `select count(*) from notes`).Scan(&taken); err != nil {
				return err
			}
			err := store.Tx(ctx).QueryRowContext(ctx, `select count(*) from notes join people on people.id = notes.person where person <> ''`).Scan(&known)
			if taken != people*each+2 || known != 1 {
				t.Errorf("%d notes were taken, and %d lead to somebody, want %d and 1", taken, known, people*each+2)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func note(t *testing.T, db *storetest.DB, id, address string) {
	storetest.React(t, db, "note", event.Meta{ID: id}, func(ctx context.Context) (choreo.Events, error) {
		person, err := account.Person(ctx, address)
		if err != nil {
			return nil, err
		}
		_, err = store.Exec(ctx, `insert into notes (note, person) values ($1, $2)`, id, person)
		return nil, err
	})
}

func forget(t *testing.T, db *storetest.DB, address string) {
	storetest.React(t, db, "forget", event.Meta{ID: address}, func(ctx context.Context) (choreo.Events, error) {
		_, err := account.Forget(ctx, address, `update notes set person = '' where person = $1`)
		return nil, err
	})
}
