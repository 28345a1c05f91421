-- +goose Up

create table bookings (
	booking_id text primary key,
	flight text not null,
	passenger text not null,              -- empty once erased, as email and address
	email text not null,
	address text not null,                -- key of email; see package account
	price bigint not null,                -- cents
	seat_preference text not null,
	status text not null,                 -- pending, completed or cancelled
	reason text not null default '',      -- of a cancelled booking
	seat text not null default '',        -- of a completed one, as booking_code
	booking_code text not null default '',
	created_at bigint not null            -- unix milliseconds, as all times
);
create index bookings_by_address on bookings (address);

-- What happened; see package history.
create table history (
	subject text not null,    -- the booking
	step integer not null,    -- from 1
	event text not null,
	event_id text not null,
	at bigint not null,       -- unix milliseconds
	status text not null,     -- of the subject, after it
	primary key (subject, step)
);
