-- +goose Up

create table mails (
	event_id text primary key, -- what the mail tells of
	person text not null,      -- of people; empty: somebody who is forgotten
	kind text not null,
	sent_at bigint not null    -- unix milliseconds
);
create index mails_by_person on mails (person);

-- To whom an address belongs; see package account.
create table people (
	address text primary key, -- its hash
	id text not null          -- random; empty: the account was closed
);
