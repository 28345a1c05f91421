package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Server is an HTTP server on an address of its own.
type Server struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

// Listen serves h at addr until [Server.Shutdown]. name says in errors and
// logs what is served. Port 0 takes a free one, which [Server.Addr] tells.
func Listen(name, addr string, h http.Handler, logger *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %s is in use by another process", name, addr)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", name, addr, err)
	}
	s := &Server{
		listener: listener,
		server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       30 * time.Second,
			WriteTimeout:      60 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          slog.NewLogLogger(logger.With("server", name).Handler(), slog.LevelDebug),
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("server ended", "server", name, "error", err)
		}
	}()
	return s, nil
}

// Addr is where the server listens, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Shutdown takes no more requests, waits for those in hand, and returns when
// they are answered; when ctx ends first, it breaks them off.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	<-s.done
	return err
}

// Gate serves h once waiting returns nothing; until then, every request is
// answered with 503 and what is waited for.
func Gate(h http.Handler, waiting func() []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := waiting(); len(why) > 0 {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusServiceUnavailable, "not ready: "+strings.Join(why, "; "))
			return
		}
		h.ServeHTTP(w, r)
	})
}
