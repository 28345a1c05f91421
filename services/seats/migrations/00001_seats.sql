-- +goose Up

-- One row for each flight, which is locked by whoever changes its seats.
create table flights (
	flight text primary key,
	changes bigint not null
);

-- One row for each booking. Without a seat: it was released, or must not be assigned.
create table seats (
	booking_id text primary key,
	flight text not null,
	seat text,
	unique (flight, seat)
);
