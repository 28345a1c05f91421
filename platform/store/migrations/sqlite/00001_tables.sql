-- +goose Up

-- What has been handled: the effect of an entry happens once.
CREATE TABLE troupe_inbox (
    reaction text   NOT NULL,
    id       text   NOT NULL,
    at       bigint NOT NULL, -- unix milliseconds, as all times here
    PRIMARY KEY (reaction, id)
);
CREATE INDEX troupe_inbox_at ON troupe_inbox (at);

-- What requests over HTTP were answered.
CREATE TABLE troupe_answers (
    reaction    text   NOT NULL,
    id          text   NOT NULL,
    fingerprint blob  NOT NULL,
    answer      blob  NOT NULL,
    at          bigint NOT NULL,
    PRIMARY KEY (reaction, id)
);
CREATE INDEX troupe_answers_at ON troupe_answers (at);

-- Requests whose answers are gathered, and these answers.
CREATE TABLE troupe_gathered (
    reaction text   NOT NULL,
    id       text   NOT NULL,
    request  blob, -- null: an answer came first
    expected text,  -- JSON: names of services
    complete boolean NOT NULL DEFAULT false,
    at       bigint NOT NULL,
    PRIMARY KEY (reaction, id)
);
CREATE INDEX troupe_gathered_at ON troupe_gathered (at);

CREATE TABLE troupe_gathered_answers (
    reaction text   NOT NULL,
    id       text   NOT NULL,
    service  text   NOT NULL,
    answer   blob  NOT NULL,
    at       bigint NOT NULL,
    PRIMARY KEY (reaction, id, service),
    FOREIGN KEY (reaction, id) REFERENCES troupe_gathered ON DELETE CASCADE
);

-- What is to be published, with the columns that Debezium's outbox event router
-- expects. The rows of a key, which are all in one bucket, in the order of seq.
CREATE TABLE troupe_outbox (
    seq           integer PRIMARY KEY AUTOINCREMENT,
    bucket        integer NOT NULL,
    created       bigint  NOT NULL,
    id            text    NOT NULL,
    aggregatetype text    NOT NULL, -- the domain
    aggregateid   text,             -- the key; null: none
    type          text    NOT NULL,
    payload       blob,
    headers       text    NOT NULL -- a JSON object
);

-- What is to be published once it is due.
CREATE TABLE troupe_later (
    seq           integer PRIMARY KEY AUTOINCREMENT,
    bucket        integer NOT NULL,
    due           bigint  NOT NULL,
    id            text    NOT NULL,
    aggregatetype text    NOT NULL,
    aggregateid   text,
    type          text    NOT NULL,
    payload       blob,
    headers       text    NOT NULL
);
CREATE INDEX troupe_later_due ON troupe_later (due, seq);

-- What the broker will never take, with what it said: taken out of the outbox, so
-- that it stops nothing. Somebody has to look at it.
CREATE TABLE troupe_refused (
    seq           bigint  NOT NULL,
    bucket        integer NOT NULL,
    created       bigint  NOT NULL,
    id            text    NOT NULL,
    aggregatetype text    NOT NULL,
    aggregateid   text,
    type          text    NOT NULL,
    payload       blob,
    headers       text    NOT NULL,
    error         text    NOT NULL
);
