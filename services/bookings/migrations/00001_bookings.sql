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
    steps           integer NOT NULL -- entries in history
);
CREATE INDEX bookings_email ON bookings (lower(email));

CREATE TABLE history (
    booking_id text NOT NULL,
    step       integer NOT NULL,
    event      text NOT NULL,
    at         bigint NOT NULL, -- unix milliseconds
    PRIMARY KEY (booking_id, step)
);

-- +goose Down
DROP TABLE history;
DROP TABLE bookings;
