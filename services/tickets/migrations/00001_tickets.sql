-- +goose Up

-- One row for each booking. Without a number: it was cancelled before its ticket was issued.
create table tickets (
	booking_id text primary key,
	number text unique,
	booking_code text unique,
	flight text not null default '',
	seat text not null default '',
	person text not null default '', -- of people; empty: nobody, or erased
	void boolean not null
);
create index tickets_by_person on tickets (person);

-- To whom an address belongs; see package account.
create table people (
	address text primary key, -- its hash
	id text not null          -- random; empty: the account was closed
);
