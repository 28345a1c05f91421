package seats

import (
	"context"
	"strconv"

	"github.com/troupedev/troupe/events/payments"
)

// fullFlight never has a seat.
const fullFlight = "TR000"

// plan is how many rows of seats, A to F, a flight has.
type plan int

func (s *service) plan(flight string) plan {
	if flight == fullFlight {
		return 0
	}
	return plan(s.settings.Rows)
}

// tiers are the seats of a row in the order in which they are given. Whoever
// has no preference sits in the middle, so that windows and aisles are left.
func tiers(p payments.SeatPreference) [3]string {
	const window, middle, aisle = "AF", "BE", "CD"
	switch p {
	case payments.Window:
		return [3]string{window, middle, aisle}
	case payments.Aisle:
		return [3]string{aisle, middle, window}
	}
	return [3]string{middle, aisle, window}
}

// choose returns the foremost free seat that suits, else the foremost of those
// that do not; false where all are taken.
func (rows plan) choose(p payments.SeatPreference, taken map[string]string) (seat string, ok bool) {
	for _, letters := range tiers(p) {
		for row := 1; row <= int(rows); row++ {
			for _, letter := range letters {
				seat := strconv.Itoa(row) + string(letter)
				if _, held := taken[seat]; !held {
					return seat, true
				}
			}
		}
	}
	return "", false
}

// ShowFlight is the request of GET /flights/{flight}/seats.
type ShowFlight struct {
	Flight string `path:"flight" pattern:"^TR[0-9]{3}$" example:"TR100"`
}

// Flight is the answer of GET /flights/{flight}/seats.
type Flight struct {
	Flight string            `json:"flight"`
	Seats  int               `json:"seats" doc:"how many there are"`
	Taken  map[string]string `json:"taken" doc:"bookings by their seats"`
}

func (s *service) show(ctx context.Context, in *ShowFlight) (Flight, error) {
	taken, err := taken(ctx, in.Flight)
	if err != nil {
		return Flight{}, err
	}
	return Flight{Flight: in.Flight, Seats: 6 * int(s.plan(in.Flight)), Taken: taken}, nil
}
