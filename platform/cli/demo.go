package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// demoTimeout bounds one request of the demo; maxDemo how many wait at once.
const (
	demoTimeout = 15 * time.Second
	maxDemo     = 256
)

// startDemo sends made-up requests to the API, as a customer would.
func (r *run) startDemo() {
	if r.config.Demo == 0 {
		return
	}
	if r.demo == nil || !r.hasRoutes() {
		r.log.Warn("there is no demo for the services that run here (--demo)")
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.runDemo(ctx)
	}()
	r.onClose("the demo", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

func (r *run) runDemo(ctx context.Context) {
	next := r.demo(uint64(time.Now().UnixNano()))
	every := time.NewTicker(time.Duration(float64(time.Second) / r.config.Demo))
	defer every.Stop()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	slots := make(chan struct{}, maxDemo)
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		select {
		case slots <- struct{}{}:
		default:
			continue // the API is slow: a customer would not queue either
		}
		path, body := next()
		waiting.Go(func() {
			defer func() { <-slots }()
			if err := post(ctx, "http://"+reachable(r.about.API)+path, body); err != nil && ctx.Err() == nil {
				r.log.Warn("a request of the demo failed", "path", path, "error", err)
			}
		})
	}
}

func post(ctx context.Context, url string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // to its end, so that the connection is used again
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	return nil
}
