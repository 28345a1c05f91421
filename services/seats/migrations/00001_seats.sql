-- +goose Up
-- One row a flight, which is locked by whoever changes its seats.
CREATE TABLE flights (
    flight  text PRIMARY KEY,
    changes bigint NOT NULL
);

-- One row a booking. Without a seat: it was released, or must not be assigned.
CREATE TABLE seats (
    booking_id text PRIMARY KEY,
    flight     text NOT NULL,
    seat       text,
    UNIQUE (flight, seat)
);

-- +goose Down
DROP TABLE seats;
DROP TABLE flights;
