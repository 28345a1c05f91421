package choreotest

import (
	"context"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/runtime"
)

// ask is [runtime.ServiceOptions.Ask]: whoever answers the request does so at
// once, or the reply is lost, if the seed wants it.
func (p *player) ask(_ context.Context, request choreo.Message) ([]byte, error) {
	s := p.stage
	s.publish([]choreo.Message{request}, question)
	r := s.log[len(s.log)-1]
	if s.dice != nil && p.spared > 0 && s.dice.happens(s.dice.faults) {
		_ = p.strike("the reply is lost", false)
		return nil, &choreo.NoReplyError{Request: request.Type, From: s.answering(r), Waited: choreo.DefaultPatience}
	}
	if reply := s.replies[r.envelope.Type]; reply != nil {
		value, err := reply(request.Value)
		if err != nil {
			s.trace.add("no reply", "", err.Error(), r)
			return nil, &choreo.NoReplyError{Request: request.Type, From: []string{"the script"}, Waited: choreo.DefaultPatience}
		}
		return value, nil
	}
	for _, other := range s.players {
		if value, ok := other.answer(p, r); ok {
			return value, nil
		}
	}
	return nil, &choreo.NoReplyError{Request: request.Type, From: s.answering(r), Waited: choreo.DefaultPatience}
}

// answering are the services on the stage that answer r.
func (s *Stage) answering(r *record) (names []string) {
	for _, p := range s.players {
		if p.answers != nil && len(p.answers.Judge(&r.Record).Work) > 0 {
			names = append(names, p.name)
		}
	}
	return names
}

// answer is the player's answer to the request, if it has one. What strikes it
// meanwhile keeps from, who asks, without a reply.
func (p *player) answer(from *player, r *record) ([]byte, bool) {
	if p.answers == nil {
		return nil, false
	}
	v := p.answers.Judge(&r.Record)
	if len(v.Work) == 0 {
		return nil, false
	}
	w, s := &v.Work[0], p.stage
	for attempt := 1; ; attempt++ {
		s.trace.add("answer", p.name, w.Reaction(), r)
		result := p.answers.Handle(p.begin(s.t.Context()), w, attempt, s.now)
		switch {
		case p != from && p.struck != nil:
			p.recover()
			from.struck = &strike{step: "who was asked failed"}
			return nil, false
		case p.struck != nil:
			return nil, false
		case result.Outcome == runtime.Handled && len(result.Messages) == 1:
			s.publish(result.Messages, question)
			return result.Messages[0].Value, true
		case result.Outcome != runtime.TryAgain:
			s.trace.add("no reply", p.name, text(result.Err), r)
			return nil, false
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Reply lets f answer requests of type Q for whoever is not on the stage. An
// error of f is no reply. It replaces what an earlier call said, and what a
// service on the stage would answer.
func Reply[Q event.Request[R], R event.Event](s *Stage, f func(Q) (R, error)) {
	var q Q
	s.replies[q.EventType().FullName()] = func(value []byte) ([]byte, error) {
		request, err := decode(q, value)
		if err != nil {
			return nil, err
		}
		reply, err := f(request.(Q))
		if err != nil {
			return nil, err
		}
		return encode(reply)
	}
}
