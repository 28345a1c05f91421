package rig

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Sent is the answer to an order, a booking, a registration, or the deletion of
// a user.
type Sent struct {
	ID     string // of the order, booking or user
	FlowID string
}

// between is how long [Send] waits before it tries again.
const between = 200 * time.Millisecond

// Send sends a request to an API until it is taken: to one instance of the
// service after the other, always under the same key. An answer of 4xx is final.
func Send(ctx context.Context, method, key string, body any, urls ...string) (Sent, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Sent{}, err
	}
	for n := 0; ; n++ {
		sent, err := sendOnce(ctx, method, key, text, urls[n%len(urls)])
		if err == nil {
			return sent, nil
		}
		if _, ok := errors.AsType[final](err); ok {
			return Sent{}, err
		}
		select {
		case <-ctx.Done():
			return Sent{}, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(between):
		}
	}
}

func sendOnce(ctx context.Context, method, key string, body []byte, url string) (Sent, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return Sent{}, final{err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := client.Do(req)
	if err != nil {
		return Sent{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return Sent{}, err
	}
	switch err := fmt.Errorf("%s %s: status %d: %.300s", method, url, resp.StatusCode, answer); {
	case resp.StatusCode >= 500:
		return Sent{}, err
	case resp.StatusCode >= 300:
		return Sent{}, final{err}
	}
	return readSent(answer)
}

func readSent(answer []byte) (Sent, error) {
	var a struct{ OrderID, BookingID, UserID, FlowID string }
	if err := json.Unmarshal(answer, &a); err != nil {
		return Sent{}, final{fmt.Errorf("answer %.300s: %w", answer, err)}
	}
	sent := Sent{cmp.Or(a.OrderID, a.BookingID, a.UserID), a.FlowID}
	if sent.ID == "" || sent.FlowID == "" {
		return Sent{}, final{fmt.Errorf("answer %.300s: it has no id or no flowId", answer)}
	}
	return sent, nil
}
