package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A run holds the lock of its data folder until it ends, however it does; so
// the lock, not a process id, says whether one runs.
func lockPath(data string) string { return filepath.Join(data, "lock") }

// How often a lock is tried: [locked] holds it for a moment to see whether it
// is free.
const (
	lockTries = 20
	lockPause = 10 * time.Millisecond
)

// lock takes f for this process, until it is closed; false: another has it.
func lock(ctx context.Context, f *os.File) (bool, error) {
	for range lockTries {
		taken, err := tryLock(f, syscall.LOCK_EX)
		if taken || err != nil {
			return taken, err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return false, nil
}

// locked reports whether a process holds the lock of a data folder. One that
// cannot be asked counts as held: whoever reads on learns more.
func locked(data string) bool {
	f, err := os.Open(lockPath(data))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	defer f.Close() // which lets the lock go
	free, err := tryLock(f, syscall.LOCK_SH)
	return !free || err != nil
}

func tryLock(f *os.File, how int) (bool, error) {
	switch err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err {
	case nil:
		return true, nil
	case syscall.EWOULDBLOCK:
		return false, nil
	default:
		return false, err
	}
}
