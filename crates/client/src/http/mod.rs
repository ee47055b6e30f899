//! HTTP as every transport but raw TCP needs it: where to, one connection, requests, refusals.

mod answer;
mod connection;
mod origin;
mod request;

pub(crate) use self::{
    answer::{accepted, body, expect_type, refusal},
    connection::{Connection, Response, connect},
    origin::Origin,
    request::{get, pairs, post, read},
};
