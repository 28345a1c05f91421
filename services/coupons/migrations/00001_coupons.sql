-- +goose Up

create table coupons (
	code text primary key,
	address text not null,     -- whose it is, of addresses
	amount bigint not null,    -- cents
	reason text not null,
	reference text not null,   -- the user or order that it was granted for
	granted_at bigint not null -- unix milliseconds, as all times
);
create index coupons_by_address on coupons (address);

-- What is known of an address, by its key (see package account): what comes late
-- must not be granted to somebody who is gone.
create table addresses (
	address text primary key,
	user_id text not null,     -- who registered with it last; empty: nobody did
	since bigint not null,     -- when
	gone boolean not null      -- whether that user was deleted or wants to be
);
