-- +goose Up
CREATE TABLE bookings (
    booking_id      text PRIMARY KEY,
    flight          text NOT NULL,
    passenger       text NOT NULL, -- '' once erased, as email
    email           text NOT NULL,
    price           bigint NOT NULL, -- cents
    seat_preference text NOT NULL,
    status          text NOT NULL, -- pending, completed or cancelled
    reason          text NOT NULL DEFAULT '', -- of a cancelled booking
    seat            text NOT NULL DEFAULT '', -- of a completed one, as booking_code
    booking_code    text NOT NULL DEFAULT '',
    created_at      bigint NOT NULL, -- unix milliseconds
    steps           integer NOT NULL -- entries in booking_history
);
CREATE INDEX bookings_email ON bookings (lower(email));

CREATE TABLE booking_history (
    booking_id text NOT NULL,
    step       integer NOT NULL, -- from 1
    event      text NOT NULL,
    event_id   text NOT NULL,
    at         bigint NOT NULL, -- unix milliseconds
    status     text NOT NULL, -- of the booking, after it
    PRIMARY KEY (booking_id, step)
);

-- +goose Down
DROP TABLE booking_history;
DROP TABLE bookings;
