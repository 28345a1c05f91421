package runtime

import "sync"

// mailbox is where workers, the finisher and the committer leave what an owner
// is to know. None of them ever waits for the owner.
type mailbox struct {
	mu   sync.Mutex
	news news
	bell chan struct{} // capacity 1: something is there
}

// news is what a mailbox holds.
type news struct {
	attempts  []attemptNews
	finished  []finishNews
	committed int64
}

type attemptNews struct {
	work   int32
	result Result
}

type finishNews struct {
	work int32
	err  error
}

func newMailbox() mailbox { return mailbox{bell: make(chan struct{}, 1)} }

func (m *mailbox) attempted(work int32, r Result) {
	m.mu.Lock()
	m.news.attempts = append(m.news.attempts, attemptNews{work, r})
	m.mu.Unlock()
	ring(m.bell)
}

func (m *mailbox) finished(work int32, err error) {
	m.mu.Lock()
	m.news.finished = append(m.news.finished, finishNews{work, err})
	m.mu.Unlock()
	ring(m.bell)
}

func (m *mailbox) committed(at int64) {
	m.mu.Lock()
	m.news.committed = max(m.news.committed, at)
	m.mu.Unlock()
	ring(m.bell)
}

// take exchanges what is there for an emptied spare, whose slices are used again.
func (m *mailbox) take(spare news) news {
	clear(spare.attempts) // lets go of results
	spare = news{attempts: spare.attempts[:0], finished: spare.finished[:0]}
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.news
	m.news = spare
	return taken
}
