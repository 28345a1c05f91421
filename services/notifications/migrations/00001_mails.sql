-- +goose Up
create table mails (
    event_id  text primary key, -- what the mail tells of
    recipient text not null, -- in lower case; empty: somebody whose account is closed
    kind      text not null,
    sent_at   bigint not null -- unix milliseconds
);
create index mails_recipient on mails (recipient);

-- Addresses, as hashes, whose accounts were closed: what is sent there
-- afterwards, about an order that was on its way, leaves no trace of them.
create table closed (
    hash text primary key
);

-- +goose Down
drop table closed;
drop table mails;
