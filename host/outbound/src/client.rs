//! Sends requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, Error, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::call::Call;
use crate::connector::Connector;
use crate::denials::Denials;
use crate::error::{BoxError, OutboundError};
use crate::figures::Measured;
use crate::options::{Limits, OpenError, Options, Timeouts};
use crate::response_body::ResponseBody;
use crate::rules::Rules;
use crate::sent_body::SentBody;
use crate::target::Target;
use crate::{failure, headers, request};

/// The smallest buffer that the HTTP client has.
const MIN_HEADER_BYTES: usize = 8 << 10;
/// How often a connection of HTTP/2 with requests is asked whether its server still answers.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How much of a response of HTTP/2 is held in memory while the application does not read it.
const HTTP_2_WINDOW: u32 = 256 << 10;
/// The largest window that HTTP/2 has.
const MAX_HTTP_2_WINDOW: u32 = (1 << 31) - 1;
/// How much of the body of a request is held in memory while its server does not take it.
const HTTP_2_SEND_BUFFER: usize = 128 << 10;

/// Sends the requests of an application to other servers, as far as its rules allow them. A
/// clone shares the rules, the limits and the connections.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    rules: Arc<Rules>,
    client: Client<Connector, SentBody>,
    limits: Limits,
    max_requests: usize,
    max_response_header_bytes: usize,
    permits: Arc<Semaphore>,
    denials: Denials,
}

impl Outbound {
    /// Creates what sends requests. It connects to no server.
    ///
    /// # Errors
    ///
    /// Fails if the file with the certificates of authorities cannot be read or has none.
    pub fn new(rules: Rules, options: Options) -> Result<Self, OpenError> {
        let rules = Arc::new(rules);
        let max_requests = options.max_requests.min(Semaphore::MAX_PERMITS);
        Ok(Self(Arc::new(Inner {
            client: client(Connector::new(rules.clone(), &options)?, &options),
            rules,
            limits: options.timeouts,
            max_requests,
            max_response_header_bytes: options.max_response_header_bytes.max(MIN_HEADER_BYTES),
            permits: Arc::new(Semaphore::new(max_requests)),
            denials: Denials::default(),
        })))
    }

    /// Sends a request, and returns its response as soon as its headers have arrived.
    ///
    /// The URL must be absolute. The header `Host` is made from it. Headers that belong to one
    /// connection, such as `Connection` and `Transfer-Encoding`, are removed from the request
    /// and from the response. A redirect is a response like every other one. The body of the
    /// request may go on while that of the response is read.
    ///
    /// The function must be called within a runtime of tokio. Dropping its future gives up the
    /// request.
    ///
    /// # Errors
    ///
    /// Fails if the rules do not allow the request, which also logs a line: one for each host
    /// and port, then at most one a minute. [`OutboundError`] has the other reasons. The server
    /// may have got the request, unless the error says that there was no connection.
    pub async fn send<B>(
        &self,
        request: Request<B>,
        timeouts: Timeouts,
    ) -> Result<Response<ResponseBody>, OutboundError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let measured = Measured::start();
        let result = self.0.send(request, timeouts).await;
        measured.end(&result);
        if let Err(error) = &result {
            self.0.denials.log(error);
        }
        result
    }
}

fn client(connector: Connector, options: &Options) -> Client<Connector, SentBody> {
    let header_bytes = options.max_response_header_bytes.max(MIN_HEADER_BYTES);
    // With HTTP/2, headers over the limit are an error without a name. Up to twice the size,
    // they are read and then refused with the right error.
    let http2_header_bytes = u32::try_from(header_bytes.saturating_mul(2)).unwrap_or(u32::MAX);
    // Requests whose responses are not read must not hold up others of the same connection.
    let max_requests = u32::try_from(options.max_requests).unwrap_or(u32::MAX);
    let connection_window = HTTP_2_WINDOW
        .saturating_mul(max_requests)
        .min(MAX_HTTP_2_WINDOW);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.idle_timeout)
        .http1_max_buf_size(header_bytes)
        .http2_max_header_list_size(http2_header_bytes)
        .http2_initial_stream_window_size(HTTP_2_WINDOW)
        .http2_initial_connection_window_size(connection_window.max(HTTP_2_WINDOW))
        .http2_max_send_buf_size(HTTP_2_SEND_BUFFER)
        .http2_keep_alive_interval(PING_INTERVAL)
        .build(connector)
}

impl Inner {
    async fn send<B>(
        &self,
        request: Request<B>,
        timeouts: Timeouts,
    ) -> Result<Response<ResponseBody>, OutboundError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let target = Target::from_uri(request.uri())?;
        // The rules apply to each request, whether or not there is a connection already.
        self.rules.check(&target)?;
        let length = request::check(&request)?;
        let call = Arc::new(self.begin(target)?);
        let request = request::prepare(request, length, call.clone())?;
        let limits = self.limits.capped(timeouts);
        let response = self.respond(request, limits, &call).await?;
        self.check_response(response, &call.target).map(|response| {
            response.map(|body| ResponseBody::new(body, limits.between_bytes, call))
        })
    }

    fn begin(&self, target: Target) -> Result<Call, OutboundError> {
        match self.permits.clone().try_acquire_owned() {
            Ok(permit) => Ok(Call::new(target, permit)),
            Err(_) => Err(OutboundError::TooManyRequests {
                target,
                limit: self.max_requests,
            }),
        }
    }

    /// Waits for a connection, and then for the response.
    async fn respond(
        &self,
        mut request: Request<SentBody>,
        limits: Limits,
        call: &Call,
    ) -> Result<Response<Incoming>, OutboundError> {
        let mut connection = capture_connection(&mut request);
        let connected = async move {
            connection.wait_for_connection_metadata().await;
        };
        let mut response = self.client.request(request);
        let early = tokio::select! {
            biased;
            result = &mut response => Some(result),
            () = connected => None,
            () = sleep(limits.connect) => {
                return Err(OutboundError::ConnectTimeout(call.target.clone()));
            }
        };
        let result = match early {
            Some(result) => result,
            None => first_byte(response, limits.first_byte, call).await?,
        };
        result.map_err(|error| call.cause(|| failure::of_request(&call.target, error)))
    }

    fn check_response(
        &self,
        mut response: Response<Incoming>,
        target: &Target,
    ) -> Result<Response<Incoming>, OutboundError> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let why = "the server changed the protocol without being asked";
            return Err(OutboundError::Protocol(target.clone(), why.into()));
        }
        if headers::size(response.headers()) > self.max_response_header_bytes {
            return Err(OutboundError::ResponseHeadersTooLarge(target.clone()));
        }
        headers::remove_hop_by_hop(response.headers_mut());
        Ok(response)
    }
}

/// Waits for the response to a request that has a connection. The time limit starts again
/// whenever the connection takes a part of the request's body.
async fn first_byte(
    mut response: ResponseFuture,
    limit: Duration,
    call: &Call,
) -> Result<Result<Response<Incoming>, Error>, OutboundError> {
    let connected = Instant::now();
    loop {
        let since = call.latest().max(connected);
        let rest = limit.saturating_sub(since.elapsed());
        match timeout(rest, &mut response).await {
            Ok(result) => return Ok(result),
            Err(_) if call.latest() > since => {}
            Err(_) => return Err(OutboundError::FirstByteTimeout(call.target.clone())),
        }
    }
}
