-- +goose Up
create table orders (
	id text primary key,
	channel text not null,         -- empty: placed by another producer, known from what came of it
	status text not null,
	customer text not null,        -- empty, like email: erased, or placed by another producer
	email text not null,
	lines text not null,           -- JSON, as GET /orders/{id} shows them
	total bigint not null,         -- cents
	tracking_number text not null,
	reason text not null,          -- of a cancelled order
	placed_at bigint not null      -- unix milliseconds, as all times
);
create index orders_by_email on orders (lower(email));
create index orders_by_status on orders (status, id);

-- What happened to an order: which event, and how the order stood after it.
create table order_history (
	order_id text not null,
	event_id text not null,
	event text not null,
	status text not null,
	at bigint not null,
	primary key (order_id, event_id)
);

-- +goose Down
drop table order_history;
drop table orders;
