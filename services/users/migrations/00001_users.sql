-- +goose Up

create table users (
	id text primary key,
	name text not null,
	email text not null,
	address text not null unique, -- key of email; see package account
	status text not null,         -- active or closing
	registered_at bigint not null -- unix milliseconds, as all times
);

-- A closure outlives its user; it holds nothing personal.
create table closures (
	user_id text primary key,
	request_id text not null,           -- id of its AccountClosureRequested, and of the flow
	requested_at bigint not null,
	closed_at bigint not null default 0 -- 0: not yet
);

create table erasures (
	user_id text not null,
	service text not null,
	records integer not null,
	at bigint not null,
	primary key (user_id, service)
);
