//! The service as its callers and its neighbours see it: a real server, database and broker; time is moved by hand.

mod acknowledge;
mod bad_input;
mod channels;
mod prices_published;
mod stock_level_changed;
mod subscribe;
mod support;
mod verify;
