package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GroupConfig says which group to join, and for which topics.
type GroupConfig struct {
	ID     string   // the group's name
	Topics []string // what it reads; topics that do not exist yet count once they do

	// SessionTimeout is how long the group waits for a member that is silent
	// before it gives its partitions to others. Default 10 s. Brokers allow
	// 6 s to 30 min unless set otherwise.
	SessionTimeout time.Duration

	// RebalanceTimeout is how long the group waits for members to finish what
	// they have in hand when partitions move. Default 10 s. Revoked has the
	// part of it that DrainTime says.
	RebalanceTimeout time.Duration

	// Heartbeat is how often a member shows that it lives, and so how soon it
	// hears that partitions move. Default 1 s; at most a third of
	// SessionTimeout.
	Heartbeat time.Duration

	// WatchPartitions is how often the group looks for partitions that were
	// added. Default 5 s.
	WatchPartitions time.Duration
}

func (cfg *GroupConfig) setDefaults() {
	setDefault(&cfg.SessionTimeout, 10*time.Second)
	setDefault(&cfg.RebalanceTimeout, 10*time.Second)
	setDefault(&cfg.Heartbeat, time.Second)
	setDefault(&cfg.WatchPartitions, 5*time.Second)
}

func (cfg *GroupConfig) validate() error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("kafka: group %s: "+format, append([]any{cfg.ID}, args...)...))
		}
	}
	fault(cfg.ID == "", "it has no ID")
	fault(len(cfg.Topics) == 0, "no topics to read")
	fault(slices.Contains(cfg.Topics, ""), "a topic without a name")
	fault(cfg.Heartbeat <= 0 || cfg.Heartbeat > cfg.SessionTimeout/3, "Heartbeat %s: at most a third of SessionTimeout %s", cfg.Heartbeat, cfg.SessionTimeout)
	fault(cfg.RebalanceTimeout < 4*cfg.Heartbeat, "RebalanceTimeout %s: at least four times Heartbeat %s", cfg.RebalanceTimeout, cfg.Heartbeat)
	fault(cfg.WatchPartitions <= 0, "WatchPartitions %s", cfg.WatchPartitions)
	return errors.Join(errs...)
}

// DrainTime is how long Revoked may take: RebalanceTimeout less two heartbeats,
// 8 s by default. The group began to wait when it refused a heartbeat, at most
// one ago, and the way back in takes another at worst.
func (cfg GroupConfig) DrainTime() time.Duration {
	cfg.setDefaults()
	return cfg.RebalanceTimeout - 2*cfg.Heartbeat
}

// Assignment is one partition handed to this member, with the offset that its
// group has committed.
type Assignment struct {
	TopicPartition
	Committed Offset // At -1: nothing is committed; Read starts at 0 then
}

// GroupHandler is told what this member owns. Calls come one after another
// from the goroutine of Join. Each Assigned is followed by one Revoked or one
// Lost that names the same partitions, which may be none.
type GroupHandler interface {
	// Assigned: these partitions, and no others, are this member's from now on.
	// It is to return soon; work goes on elsewhere.
	Assigned(s *Session, partitions []Assignment)

	// Revoked: all partitions may go to somebody else. It blocks until what is
	// in hand is finished and committed, which s still allows. ctx ends when
	// the broker will wait no longer, or, with cause ErrFenced, when it did not
	// wait; then nothing can be committed.
	Revoked(ctx context.Context, s *Session, partitions []TopicPartition)

	// Lost: the partitions have gone already; nothing about them can be
	// committed.
	Lost(partitions []TopicPartition)
}

// Session is a membership in one generation of a group.
type Session struct {
	c          *Client
	group      string
	member     string
	generation int32
}

// Commit commits under the session's member id and generation, in one request,
// trying again what keeps the whole group from committing and passes, for half
// a minute at most or until ctx ends.
//
// A commit of a former generation is ErrFenced. Every other error is a
// *CommitError, which names the partitions that are not committed; whether and
// when to try those again is the caller's. One that is refused for the length
// of its metadata is ErrMetadataTooLarge. Partitions need not be assigned to
// this member.
func (s *Session) Commit(ctx context.Context, offsets map[TopicPartition]Offset) error {
	if len(offsets) == 0 {
		return nil
	}
	var refused *CommitError
	err := s.c.retry(ctx, func(ctx context.Context) error {
		err := s.c.commitOffsets(ctx, s.group, s.member, s.generation, offsets)
		if errors.As(err, &refused) {
			return nil
		}
		return err
	})
	switch {
	case err == nil && refused == nil:
		return nil
	case err == nil:
		err = refused
	case !errors.Is(err, ErrFenced):
		all := make(map[TopicPartition]error, len(offsets))
		for tp := range offsets {
			all[tp] = err
		}
		err = &CommitError{all}
	}
	return fmt.Errorf("committing for group %s, generation %d: %w", s.group, s.generation, err)
}

// Join is a member of a group until ctx ends, joining again as needed. A broker
// that is away is waited for. When ctx ends the partitions are Revoked, the
// member leaves, so that others need not wait for its session to end, and Join
// returns nil. It returns an error only for what cannot heal: a setting that
// the group refuses, or rights that are missing.
func (c *Client) Join(ctx context.Context, cfg GroupConfig, h GroupHandler) error {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	m := &member{c: c, cfg: cfg, handler: h, outage: outage{c: c, what: "group " + cfg.ID}}
	defer m.leave(ctx)
	for ctx.Err() == nil {
		g, err := m.join(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("joining group %s: %w", cfg.ID, err)
		}
		if err := m.hold(ctx, g); err != nil {
			return fmt.Errorf("group %s: %w", cfg.ID, err)
		}
	}
	return nil
}

// member is this process in a group. It keeps its id from generation to
// generation, and through a broker's restart.
type member struct {
	c       *Client
	cfg     GroupConfig
	handler GroupHandler
	id      string // given by the coordinator; empty: not known to it
	outage  outage
}

// protocolType and balancer are what all clients of a group have to share.
const (
	protocolType = "consumer"
	balancer     = "roundrobin"
)

// generation is one generation of the group, as this member joined it.
type generation struct {
	session    *Session
	leader     bool
	owned      []TopicPartition
	topics     []string         // when leader: what the group subscribes to
	partitions map[string]int32 // and how many partitions of each it assigned
}

// join joins until it is in a generation, ctx ends, or it never will be.
func (m *member) join(ctx context.Context) (*generation, error) {
	var wait backoff
	for {
		g, err := m.joinOnce(ctx)
		if err == nil {
			m.outage.work()
			return g, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		code, _ := kgoCode(err)
		switch code {
		case kgo.MemberIDRequired: // the id came with the answer
			continue
		case kgo.UnknownMemberId:
			m.id = ""
		case kgo.IllegalGeneration, kgo.RebalanceInProgress: // others were quicker
		default:
			if !retriable(err) {
				return nil, err
			}
			m.outage.fail(err)
		}
		if err := wait.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func (m *member) joinOnce(ctx context.Context) (*generation, error) {
	joined, err := m.joinGroup(ctx)
	if err != nil {
		return nil, err
	}
	g := &generation{
		session: &Session{c: m.c, group: m.cfg.ID, member: m.id, generation: joined.Generation},
		leader:  joined.LeaderID == m.id,
	}
	var plan []kmsg.SyncGroupRequestGroupAssignment
	if g.leader {
		if plan, err = m.plan(ctx, g, joined.Members); err != nil {
			return nil, err
		}
	}
	g.owned, err = m.syncGroup(ctx, g.session, plan)
	return g, err
}

func (m *member) joinGroup(ctx context.Context) (*kmsg.JoinGroupResponse, error) {
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = balancer
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Topics = slices.Sorted(slices.Values(m.cfg.Topics))
	protocol.Metadata = subscription.AppendTo(nil)
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID = m.cfg.ID, m.id
	req.SessionTimeoutMillis = int32(m.cfg.SessionTimeout.Milliseconds())
	req.RebalanceTimeoutMillis = int32(m.cfg.RebalanceTimeout.Milliseconds())
	req.ProtocolType = protocolType
	req.Protocols = []kmsg.JoinGroupRequestProtocol{protocol}
	// The coordinator answers when all members have joined or have had the
	// time to.
	resp, err := req.RequestWith(ctx, m.c.coordinator(m.cfg.ID).within(m.cfg.RebalanceTimeout))
	if err != nil {
		return nil, err
	}
	err = codeError(resp.ErrorCode, nil)
	if err == nil || errors.Is(err, kgo.MemberIDRequired) {
		m.id = resp.MemberID
	}
	return resp, err
}

func (m *member) syncGroup(ctx context.Context, s *Session, plan []kmsg.SyncGroupRequestGroupAssignment) ([]TopicPartition, error) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = s.group, s.member, s.generation
	req.ProtocolType, req.Protocol = new(protocolType), new(balancer)
	req.GroupAssignment = plan
	// It answers when the leader has sent its plan.
	resp, err := req.RequestWith(ctx, m.c.coordinator(m.cfg.ID).within(m.cfg.RebalanceTimeout))
	if err == nil {
		err = codeError(resp.ErrorCode, nil)
	}
	if err != nil {
		return nil, err
	}
	return readAssignment(resp.MemberAssignment)
}

// hold holds a generation from its assignment to its end. The error is one
// that ends the membership for good.
func (m *member) hold(ctx context.Context, g *generation) error {
	beats := m.startHeartbeats(g)
	defer beats.stop()
	assignments, err := m.assignments(ctx, beats, g)
	if err != nil {
		return m.endedEarly(ctx, beats, err)
	}
	m.handler.Assigned(g.session, assignments)
	select {
	case <-ctx.Done():
	case <-beats.rebalance:
	case <-beats.lost.Done():
		m.handler.Lost(g.owned)
		return m.afterLoss(beats)
	}
	// The heartbeats go on: a member that is silent while it drains is put out.
	drain, cancel := context.WithTimeout(beats.lost, m.cfg.DrainTime())
	defer cancel()
	m.handler.Revoked(drain, g.session, g.owned)
	if beats.lost.Err() != nil {
		return m.afterLoss(beats)
	}
	return nil
}

// endedEarly draws the consequence of a generation that ended before its
// partitions were handed over.
func (m *member) endedEarly(ctx context.Context, h *heartbeats, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil
	case h.lost.Err() != nil:
		return m.afterLoss(h)
	case h.rebalancing():
		return nil
	default:
		return err
	}
}

// afterLoss draws the consequence of how the membership was lost.
func (m *member) afterLoss(h *heartbeats) error {
	cause := context.Cause(h.lost)
	code, _ := kgoCode(cause)
	switch code {
	case kgo.UnknownMemberId:
		m.id = ""
	case kgo.FencedInstanceID, kgo.GroupAuthorizationFailed:
		return cause
	}
	m.c.log.Warn("membership of a group was lost; joining again", "group", m.cfg.ID, "cause", cause)
	return nil
}

// assignments adds to the partitions what is committed of them, trying until
// it is known or the generation is over.
func (m *member) assignments(ctx context.Context, h *heartbeats, g *generation) ([]Assignment, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.over, cancel)()
	var wait backoff
	for {
		offsets, err := m.c.committed(ctx, m.cfg.ID, g.owned)
		if err == nil {
			list := make([]Assignment, len(g.owned))
			for i, tp := range g.owned {
				offset, ok := offsets[tp]
				if !ok {
					offset.At = -1
				}
				list[i] = Assignment{tp, offset}
			}
			return list, nil
		}
		if !retriable(err) || wait.wait(ctx) != nil {
			return nil, fmt.Errorf("committed offsets: %w", err)
		}
	}
}

// Members returns how many members a consumer group has, of whatever process; 0
// also for a group that never was.
func (c *Client) Members(ctx context.Context, group string) (n int, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{group}
		resp, err := req.RequestWith(ctx, c.coordinator(group))
		if err != nil || len(resp.Groups) == 0 {
			return err
		}
		n = len(resp.Groups[0].Members)
		if err = codeError(resp.Groups[0].ErrorCode, resp.Groups[0].ErrorMessage); errors.Is(err, kgo.GroupIdNotFound) {
			err = nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("members of group %s: %w", group, err)
	}
	return n, nil
}

// leaveTime bounds the farewell.
const leaveTime = 5 * time.Second

// leave tells the coordinator, if it knows this member, that it goes.
func (m *member) leave(ctx context.Context) {
	if m.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	err := m.leaveGroup(ctx)
	if err != nil && !errors.Is(err, kgo.UnknownMemberId) {
		m.c.log.Warn("leaving a group failed; its other members wait until the session ends",
			"group", m.cfg.ID, "session", m.cfg.SessionTimeout, "error", err)
	}
}

func (m *member) leaveGroup(ctx context.Context) error {
	leaver := kmsg.NewLeaveGroupRequestMember()
	leaver.MemberID = m.id
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.cfg.ID, m.id
	req.Members = []kmsg.LeaveGroupRequestMember{leaver}
	resp, err := req.RequestWith(ctx, m.c.coordinator(m.cfg.ID))
	if err != nil {
		return err
	}
	for i := range resp.Members {
		if err := codeError(resp.Members[i].ErrorCode, nil); err != nil {
			return err
		}
	}
	return codeError(resp.ErrorCode, nil)
}
