-- +goose Up
create table mails (
    event_id  text primary key, -- what the mail tells of
    recipient text not null, -- hash of the address; empty: somebody who is forgotten
    kind      text not null,
    sent_at   bigint not null -- unix milliseconds
);
create index mails_recipient on mails (recipient);

-- +goose Down
drop table mails;
