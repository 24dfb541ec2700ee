//! The requests of an application to other servers.

use http_body_util::BodyExt;
use hyper::{Request, Response};
use session3_outbound::{Outbound, OutboundError, ResponseBody, Timeouts};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// How many chunks of a body a component for WASI 0.2 may write before the server takes the
/// first one. With a single chunk, the component would be suspended and woken up in the
/// middle of every page.
const BUFFERED_CHUNKS: usize = 8;
/// The largest size of such a chunk, in bytes.
const CHUNK_SIZE: usize = 16 << 10;

/// The future that completes an outgoing request after its response, as [`WasiHttpHooks`]
/// requires it.
type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Sends what an application sends to other servers, as far as the operator allows it.
pub struct Hooks(pub Outbound);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send> {
        let outbound = self.0.clone();
        Box::new(async move {
            let sent = outbound.send(request, timeouts(options)).await;
            let response = sent.map_err(error_code)?;
            let transfer: Transfer = Box::new(std::future::ready(Ok(())));
            Ok((response.map(body), transfer))
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BUFFERED_CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_SIZE
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_SIZE
    }
}

fn timeouts(options: Option<RequestOptions>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if let Some(options) = options {
        timeouts.connect = options.connect_timeout;
        timeouts.first_byte = options.first_byte_timeout;
        timeouts.between_bytes = options.between_bytes_timeout;
    }
    timeouts
}

fn body(body: ResponseBody) -> WasiBody {
    body.map_err(error_code).boxed_unsync()
}

/// Returns the error code of `wasi:http` for a request that failed. It says no more than that
/// code: the log and the metrics say more to the operator.
fn error_code(error: OutboundError) -> Error {
    match error {
        OutboundError::InvalidRequest(_) => Error::HttpRequestUriInvalid,
        OutboundError::InvalidHost { .. } | OutboundError::Denied(_) => Error::HttpRequestDenied,
        OutboundError::ProhibitedAddress { .. } => Error::DestinationIpProhibited,
        OutboundError::TooManyRequests { .. } => Error::ConnectionLimitReached,
        OutboundError::Dns(..) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        OutboundError::DnsTimeout(_) => Error::DnsTimeout,
        OutboundError::ConnectionRefused(..) => Error::ConnectionRefused,
        OutboundError::Unreachable(..) => Error::DestinationUnavailable,
        OutboundError::ConnectTimeout(_) => Error::ConnectionTimeout,
        OutboundError::ConnectionClosed(..) => Error::ConnectionTerminated,
        OutboundError::TlsCertificate(..) => Error::TlsCertificateError,
        OutboundError::TlsProtocol(..) => Error::TlsProtocolError,
        OutboundError::WriteTimeout(..) => Error::ConnectionWriteTimeout,
        OutboundError::FirstByteTimeout(_) => Error::HttpResponseTimeout,
        OutboundError::BetweenBytesTimeout(_) => Error::ConnectionReadTimeout,
        OutboundError::ResponseHeadersTooLarge(_) => Error::HttpResponseHeaderSectionSize(None),
        OutboundError::RequestBody(..) => Error::HttpRequestBodySize(None),
        _ => Error::HttpProtocolError,
    }
}
