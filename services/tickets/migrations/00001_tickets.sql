-- +goose Up
-- One row a booking. Without a number: it was cancelled before its ticket was issued.
CREATE TABLE tickets (
    booking_id   text PRIMARY KEY,
    number       text UNIQUE,
    booking_code text UNIQUE,
    flight       text NOT NULL DEFAULT '',
    seat         text NOT NULL DEFAULT '',
    passenger    text NOT NULL DEFAULT '', -- '' once erased, as email
    email        text NOT NULL DEFAULT '',
    void         boolean NOT NULL
);
CREATE INDEX tickets_email ON tickets (lower(email));

-- +goose Down
DROP TABLE tickets;
