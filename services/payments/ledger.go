package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
	"github.com/troupedev/troupe/services/internal/account"
)

// Status is how the payment for a reference stands.
type Status string

// What may become of a payment. A charge that is declined, refunded or
// prevented stays so.
const (
	Charged   Status = "charged"
	Declined  Status = "declined"
	Refunded  Status = "refunded"
	Prevented Status = "prevented" // cancelled before it was charged
)

// settled is what stands of a charge that was asked for before, and had its answer.
const settled Status = ""

// due is a charge to make.
type due struct {
	reference string
	purpose   payments.Purpose
	email     string
	amount    int64 // cents
}

// charge charges a card, unless the reference was charged, declined or
// prevented already: it is settled then.
//
// The reference's row is locked while the provider is asked, so that nobody
// charges, refunds or cancels it meanwhile. A crash in between undoes the row,
// and the next attempt asks the provider with the same id.
func (s *service) charge(ctx context.Context, card string, d due) (authorization string, stands Status, err error) {
	heard := event.From(ctx)
	first, err := store.Exec(ctx, `
		insert into payments (reference, purpose, status, payer, amount, charge_number, charged_by, charged_at, refunded_by, refunded_at)
		values ($1, $2, 'charging', '', $3, '', $4, 0, '', 0) on conflict (reference) do nothing`,
		d.reference, d.purpose, d.amount, heard.ID)
	if err != nil {
		return "", settled, err
	}
	if first == 0 {
		return "", settled, s.void(ctx, d.reference)
	}
	authorization, err = s.cards.Charge(ctx, heard.ID, card, d.amount)
	at := heard.Time.UnixMilli()
	switch {
	case err == nil:
		stands = Charged
	case errors.Is(err, ErrDeclined):
		stands, at = Declined, 0
	default:
		return "", settled, err // tried again; only this reference waits
	}
	payer, err := account.Person(ctx, d.email) // only now: while the provider was asked, nobody waited for it
	if err != nil {
		return "", settled, err
	}
	_, err = store.Exec(ctx, `update payments set status = $2, payer = $3, charge_number = $4, charged_at = $5 where reference = $1`,
		d.reference, stands, payer, authorization, at)
	return authorization, stands, err
}

// void undoes at the provider what an earlier attempt at the event in hand may
// have charged before it crashed, while another event settled the reference.
func (s *service) void(ctx context.Context, reference string) error {
	id := event.From(ctx).ID
	var by string
	err := store.Tx(ctx).QueryRowContext(ctx, `select charged_by from payments where reference = $1`, reference).Scan(&by)
	if err != nil || by == id {
		return err
	}
	return s.cards.Void(ctx, id)
}

// prevent notes that a reference is not to be charged, where it has not come to that yet.
func prevent(ctx context.Context, reference string, purpose payments.Purpose) error {
	_, err := store.Exec(ctx, `
		insert into payments (reference, purpose, status, payer, amount, charge_number, charged_by, charged_at, refunded_by, refunded_at)
		values ($1, $2, 'prevented', '', 0, '', '', 0, '', 0) on conflict (reference) do nothing`, reference, purpose)
	return err
}

// refund gives back what was charged for a reference, and reports whether it
// did: of several who ask, the first has it done. As in [service.charge], the
// row is locked while the provider is asked. It is asked with the id of the
// charge, not of the event in hand: whoever asks, also after a crash of another
// who did, it is one refund.
func (s *service) refund(ctx context.Context, reference string) (paid due, done bool, err error) {
	heard := event.From(ctx)
	var authorization, id string
	err = store.Tx(ctx).QueryRowContext(ctx, `
		update payments set status = 'refunded', refunded_by = $2, refunded_at = $3
		where reference = $1 and status = 'charged' returning purpose, amount, charge_number, charged_by`,
		reference, heard.ID, heard.Time.UnixMilli()).Scan(&paid.purpose, &paid.amount, &authorization, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return due{}, false, known(ctx, reference)
	}
	if err != nil {
		return due{}, false, err
	}
	return paid, true, s.cards.Refund(ctx, id, authorization, paid.amount)
}

// known is an error where nobody has ever asked to charge for the reference.
func known(ctx context.Context, reference string) error {
	var one int
	err := store.Tx(ctx).QueryRowContext(ctx, `select 1 from payments where reference = $1`, reference).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return choreo.Permanent(fmt.Errorf("nothing was charged for %s, so nothing can be refunded", reference))
	}
	return err
}

// erase forgets who paid: what was paid stays in the books.
func erase(ctx context.Context, u users.AccountClosureRequested) (records int64, err error) {
	return account.Forget(ctx, u.Email, `update payments set payer = '' where payer = $1`)
}

// Payment is how the payment for an order or booking stands.
type Payment struct {
	Reference     string           `json:"reference" doc:"id of the order or booking"`
	Purpose       payments.Purpose `json:"purpose" enum:"storefront,wholesale,flight"`
	Status        Status           `json:"status" enum:"charged,declined,refunded,prevented" doc:"prevented: cancelled before it was charged"`
	Amount        int64            `json:"amount" doc:"in cents"`
	Authorization string           `json:"authorization,omitempty" doc:"the provider's number of the charge"`
	ChargedAt     *time.Time       `json:"chargedAt,omitempty"`
	RefundedAt    *time.Time       `json:"refundedAt,omitempty"`
}

// ShowPayment is the request of GET /payments/{reference}.
type ShowPayment struct {
	Reference string `path:"reference"`
}

func show(ctx context.Context, in *ShowPayment) (Payment, error) {
	p := Payment{Reference: in.Reference}
	var chargedAt, refundedAt int64
	err := store.Tx(ctx).QueryRowContext(ctx,
		`select purpose, status, amount, charge_number, charged_at, refunded_at from payments where reference = $1`, in.Reference).
		Scan(&p.Purpose, &p.Status, &p.Amount, &p.Authorization, &chargedAt, &refundedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return p, web.NotFound("nobody has asked to charge for " + in.Reference)
	}
	p.ChargedAt, p.RefundedAt = timeOf(chargedAt), timeOf(refundedAt)
	return p, err
}

func timeOf(millis int64) *time.Time {
	if millis == 0 {
		return nil
	}
	return new(time.UnixMilli(millis).UTC())
}
