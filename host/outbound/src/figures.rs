//! The metrics of requests, through the crate `metrics`. No host becomes a label, since every
//! label value takes memory and an application can ask for any number of hosts.

use std::time::Instant;

use metrics::{counter, histogram};

use crate::error::OutboundError;

/// The counter of the requests of an application to other servers, by `result`: `ok` if there
/// was a response, whatever its status, `cancelled` if the application gave up before, or the
/// name of the error, such as `denied`. An error within the body of a response does not count.
pub const OUTBOUND_REQUESTS: &str = "session3_outbound_requests_total";
/// The histogram of the time from a request to the headers of its response or to its error, in
/// seconds, by `result`.
pub const OUTBOUND_SECONDS: &str = "session3_outbound_seconds";

/// Records a request when it is dropped.
pub struct Measured {
    start: Instant,
    result: &'static str,
}

impl Measured {
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            result: "cancelled",
        }
    }

    /// Notes the result of the request.
    pub fn end<T>(mut self, result: &Result<T, OutboundError>) {
        self.result = result.as_ref().map_or_else(OutboundError::label, |_| "ok");
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        counter!(OUTBOUND_REQUESTS, "result" => self.result).increment(1);
        histogram!(OUTBOUND_SECONDS, "result" => self.result).record(self.start.elapsed());
    }
}
