-- +goose Up

create table stock (
	sku text primary key,
	available bigint not null check (available >= 0), -- can be taken
	reserved bigint not null check (reserved >= 0)    -- was taken by orders
);

-- A unicorn has no row: it is never in stock.
insert into stock (sku, available, reserved) values ('mug', 1000000, 0), ('lamp', 1000000, 0), ('desk', 1000000, 0);

-- What each order took, and whether it still has it. An order asks once.
create table reservations (
	order_id text primary key,
	status text not null, -- held, short, released
	items text not null   -- JSON: the lines of the order
);
