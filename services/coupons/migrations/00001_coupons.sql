-- +goose Up
create table coupons (
    code       text primary key,
    email      text not null, -- in lower case
    amount     bigint not null, -- cents
    reason     text not null,
    reference  text not null, -- the user or order that it was granted for
    granted_at bigint not null -- unix milliseconds, as all times here
);
create index coupons_email on coupons (email);

-- What is known of an address, under its hash: what comes late must not be
-- granted to somebody who is gone.
create table addresses (
    hash    text primary key,
    user_id text not null, -- who registered with it last; empty: nobody did
    since   bigint not null, -- when
    gone    boolean not null -- whether that user was deleted or wants to be
);

-- +goose Down
drop table addresses;
drop table coupons;
