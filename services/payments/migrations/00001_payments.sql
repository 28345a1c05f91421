-- +goose Up

-- One row for each order or booking that was to be paid, or is not to be paid
-- any more. Neither its card nor its customer is kept.
create table payments (
	reference text primary key,
	purpose text not null,
	status text not null,        -- charging (within a transaction only), charged, declined, refunded, prevented
	payer text not null,         -- of people; empty: erased, or never known
	amount bigint not null,      -- cents
	charge_number text not null, -- the provider's
	charged_by text not null,    -- id of the event that asked for the charge
	charged_at bigint not null,  -- unix milliseconds, as all times; 0: never
	refunded_by text not null,
	refunded_at bigint not null
);
create index payments_by_payer on payments (payer);

-- To whom an address belongs; see package account.
create table people (
	address text primary key, -- its hash
	id text not null          -- random; empty: the account was closed
);
