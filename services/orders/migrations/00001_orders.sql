-- +goose Up

create table orders (
	id text primary key,
	channel text not null,         -- empty: placed by another producer, known from what came of it
	status text not null,
	customer text not null,        -- empty, like email: erased, or placed by another producer
	email text not null,
	address text not null,         -- key of email; see package account
	lines text not null,           -- JSON, as GET /orders/{id} shows them
	total bigint not null,         -- cents
	tracking_number text not null,
	reason text not null,          -- of a cancelled order
	placed_at bigint not null      -- unix milliseconds, as all times
);
create index orders_by_address on orders (address);
create index orders_by_status on orders (status, id);

-- What happened; see package history.
create table history (
	subject text not null,    -- the order
	step integer not null,    -- from 1
	event text not null,
	event_id text not null,
	at bigint not null,       -- unix milliseconds
	status text not null,     -- of the subject, after it
	primary key (subject, step)
);
