//! Tests with real sockets, clients and child processes.

mod children;
mod forwarded;
mod notify;
mod passed;
mod proxy;
mod tcp;
mod tls;
mod unix;
