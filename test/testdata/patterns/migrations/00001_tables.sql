-- +goose Up
create table members (id text primary key, name text not null, email text not null);
create table notes (what text not null, about text not null);
