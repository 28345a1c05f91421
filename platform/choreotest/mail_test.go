package choreotest_test

import (
	"context"
	"fmt"
	"net/smtp"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
)

// teller sends a mail for every order.
func teller() choreo.Service {
	var set struct {
		SMTP string `env:"TROUPE_SMTP" doc:"mail server"`
	}
	return choreo.Service{Name: "teller", Doc: "Sends mail.", Settings: &set, Reactions: []choreo.Reaction{
		choreo.On(func(ctx context.Context, o ordered) (choreo.Events, error) {
			text := fmt.Sprintf("Message-ID: <%s@shop.example>\r\nTo: %s\r\nSubject: Thank you\r\n\r\n%d mugs\r\n", event.From(ctx).ID, o.ID, o.N)
			err := smtp.SendMail(strings.TrimPrefix(set.SMTP, "smtp://"), nil, "shop@shop.example", []string{o.ID}, []byte(text))
			if err != nil && strings.HasPrefix(err.Error(), "550") {
				err = choreo.Permanent(err)
			}
			return nil, err
		}),
	}}
}

func TestMailsAreReallySent(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(of[ordered]("ada@shop.example", 2), of[ordered]("bob@bounce.example", 1), of[ordered]("eve@refused.example", 1))
		s.Dead("teller", "550")
		told := map[string]choreotest.Mail{}
		for _, m := range s.Mails() {
			told[m.To[0]] = m
		}
		if ada := told["ada@shop.example"]; len(told) != 2 || ada.Subject != "Thank you" || ada.Text != "2 mugs\n" || !strings.HasSuffix(ada.ID, "@shop.example") {
			t.Errorf("the mails are %+v", told)
		}
		if all := s.Mails(); len(all) != 2 {
			t.Errorf("%d mails, want 2", len(all))
		}
	}, teller())
}
