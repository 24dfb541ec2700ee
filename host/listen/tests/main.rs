//! Tests against real sockets.
