package store

import (
	"context"
	"database/sql/driver"
	"errors"
)

// maxStatements is how many statements one connection to SQLite keeps prepared:
// those that were used last.
const maxStatements = 256

// keepingStatements makes connections to SQLite that keep their statements
// prepared, by text: to parse one takes longer than to run it. (The driver of
// Postgres does so itself.)
type keepingStatements struct{ driver.Connector }

func (k keepingStatements) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &keeper{fileConn: opened.(fileConn), kept: map[string]*statement{}}, nil
}

// fileConn is what a connection to SQLite can do.
type fileConn interface {
	driverConn
	driver.Validator
}

type keeper struct {
	fileConn
	kept map[string]*statement
	uses int64 // so far
}

// statement is one that is kept. While rows of it are open it is in use, and the
// same text has to be prepared once more.
type statement struct {
	preparedStmt
	inUse bool
	used  int64 // its last use, of all of the connection
}

type preparedStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// Close closes the statements, and the connection.
func (k *keeper) Close() error {
	var faults []error
	for _, s := range k.kept {
		faults = append(faults, s.Close())
	}
	clear(k.kept)
	return errors.Join(append(faults, k.fileConn.Close())...)
}

func (k *keeper) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := k.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return k.fileConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

func (k *keeper) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := k.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return k.fileConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.inUse = true
	return &statementRows{rows, s}, nil
}

// prepared is the statement for query; nil: there is none that is free.
func (k *keeper) prepared(ctx context.Context, query string) (*statement, error) {
	k.uses++
	if s := k.kept[query]; s != nil {
		s.used = k.uses
		if s.inUse {
			return nil, nil
		}
		return s, nil
	}
	if len(k.kept) >= maxStatements {
		if err := k.dropOldest(); err != nil {
			return nil, err
		}
	}
	opened, err := k.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &statement{preparedStmt: opened.(preparedStmt), used: k.uses}
	k.kept[query] = s
	return s, nil
}

// dropOldest closes the statement, of those that are not in use, that was not used
// for longest.
func (k *keeper) dropOldest() error {
	oldest := ""
	for query, s := range k.kept {
		if !s.inUse && (oldest == "" || s.used < k.kept[oldest].used) {
			oldest = query
		}
	}
	s := k.kept[oldest]
	if s == nil {
		return nil
	}
	delete(k.kept, oldest)
	return s.Close()
}

// statementRows are rows of a statement that is kept.
type statementRows struct {
	driver.Rows
	statement *statement
}

// Close gives the statement back.
func (r *statementRows) Close() error {
	r.statement.inUse = false
	return r.Rows.Close()
}
