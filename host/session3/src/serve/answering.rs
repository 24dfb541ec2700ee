//! What answers a request: the application, a static file, or the server itself.

use std::sync::Arc;

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tracing::Instrument;
use wasmtime_wasi_http::Error;

use super::Shared;
use super::application::Answering;
use super::authority;
use super::client::ClientEnd;
use super::connection::RequestInFlight;
use super::failure::Failure;
use super::observed::{ObservedBody, ObservedRequest};
use super::request_body::{Fault, RequestBody};
use super::response_body::{BodyWriter, ResponseBody, response_body};
use super::running::{Admission, Writing};
use super::sent_file::SentFile;
use super::static_files::FileResponse;
use super::time_limit::Exchange;
use super::without_content::WithoutContent;

/// The largest number of headers of a request.
const MAX_HEADERS: usize = 100;

/// A response to a client.
type ServerResponse = Response<UnsyncBoxBody<Bytes, Error>>;

impl Shared {
    /// Answers a request, which the log and the metrics observe until its response ends.
    pub async fn observe(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        in_flight: RequestInFlight,
        client: &ClientEnd,
    ) -> Response<ObservedBody<UnsyncBoxBody<Bytes, Error>>> {
        let host = &self.host;
        let address = client.describe(&mut request, &host.options);
        let has_access_log = host.options.has_access_log;
        let observed = ObservedRequest::begin(&mut request, address, &host.metrics, has_access_log);
        let answering = self.answer(request, in_flight);
        let (head, body) = answering
            .instrument(observed.span.clone())
            .await
            .into_parts();
        let body = observed.respond(head.status, body);
        Response::from_parts(head, body)
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        in_flight: RequestInFlight,
    ) -> ServerResponse {
        let options = &self.host.options;
        let (max, time) = (options.max_body, options.client_timeout);
        let request = RequestBody::limit(request, max, time, &self.buffers);
        let is_head = request.method() == Method::HEAD;
        let notice = self.notice.borrow().clone();
        let response = match (refusal(&request), notice) {
            (Some(failure), _) => self.fail(&failure, in_flight),
            (None, Some(page)) => self.show_notice(page, in_flight),
            (None, None) => self.find_or_run(request, in_flight).await,
        };
        match is_head || has_no_body(response.status()) {
            true => response.map(|body| WithoutContent::new(body).boxed_unsync()),
            false => response,
        }
    }

    /// Answers a request with a static file, or else with the application.
    async fn find_or_run(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        in_flight: RequestInFlight,
    ) -> ServerResponse {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        let answered = match self.find(&head).await {
            Ok(Some(file)) => return self.respond_with_file(file, in_flight),
            Ok(None) => self.run(head.map(|()| body), &in_flight).await,
            Err(failure) => Err(failure),
        };
        match answered {
            Ok(answering) => self.respond(answering, in_flight).await,
            Err(failure) => self.fail(&failure, in_flight),
        }
    }

    /// Returns the response with the static file that a request is for, if it is for one.
    async fn find(&self, head: &Request<()>) -> Result<Option<FileResponse>, Failure> {
        let files = self.static_files.borrow().clone();
        if !files.may_have(head) {
            return Ok(None);
        }
        // The look-up may have to wait.
        let share = self.buffers.take(size_of_headers(head));
        let _share = share.ok_or(Failure::Overloaded)?;
        let head = head.clone();
        let found = self
            .file_access
            .work(async move { files.find(&head).await })
            .await;
        found.ok_or(Failure::SlowFile)?.map_err(Failure::File)
    }

    async fn run(
        &self,
        mut request: Request<RequestBody>,
        in_flight: &RequestInFlight,
    ) -> Result<Answering, Failure> {
        if !request.body().is_end_stream() {
            // While the body arrives, the headers wait with it.
            let size = size_of_headers(&request);
            let _share = self.buffers.take(size).ok_or(Failure::Overloaded)?;
            let received = request.body_mut().receive_beginning().await;
            received.map_err(Failure::Body)?;
        }
        let permit = self.admissions.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Failure::Overloaded)?;
        let admission = Admission::new(permit, in_flight.requests_end());
        let application = self.application.borrow().clone();
        application.run(request, admission).await
    }

    /// Returns the response of a component, which may still write the body.
    async fn respond(&self, answering: Answering, in_flight: RequestInFlight) -> ServerResponse {
        let Answering {
            response,
            running,
            exchange,
        } = answering;
        let (head, body) = response.into_parts();
        let (writer, for_client) = self.response_body(exchange.clone(), in_flight);
        Writing::new(running, body, writer, exchange).begin().await;
        Response::from_parts(head, for_client.boxed_unsync())
    }

    /// Creates the body of a response, whose client is bound by the limits of the options.
    fn response_body(
        &self,
        exchange: Exchange,
        in_flight: RequestInFlight,
    ) -> (BodyWriter, ResponseBody) {
        let options = &self.host.options;
        let times = (options.client_timeout, options.max_response_time);
        response_body(&self.buffers, exchange, in_flight, times)
    }

    /// Creates the body of a response that is complete already.
    fn whole_body(
        &self,
        content: Bytes,
        in_flight: RequestInFlight,
    ) -> UnsyncBoxBody<Bytes, Error> {
        let (writer, body) = self.response_body(Exchange::default(), in_flight);
        writer.push(Frame::data(content));
        writer.end(true);
        body.boxed_unsync()
    }

    /// Returns the response with a static file, whose client is bound by the limits of other
    /// responses.
    fn respond_with_file(
        self: &Arc<Self>,
        file: FileResponse,
        in_flight: RequestInFlight,
    ) -> ServerResponse {
        let FileResponse { response, length } = file;
        let (head, content) = response.into_parts();
        if length == 0 {
            return Response::from_parts(head, self.whole_body(Bytes::new(), in_flight));
        }
        let Some(permit) = self.file_access.try_open() else {
            return self.fail(&Failure::Overloaded, in_flight);
        };
        let (writer, for_client) = self.response_body(Exchange::default(), in_flight);
        let (shared, file) = (self.clone(), SentFile::new(content, length, permit));
        let sending = async move { file.send(writer, &shared.file_access).await };
        tokio::spawn(sending.in_current_span());
        Response::from_parts(head, for_client.boxed_unsync())
    }

    /// Returns the response with a page that stands for every response of the application.
    fn show_notice(&self, page: Bytes, in_flight: RequestInFlight) -> ServerResponse {
        let mut response = Response::new(self.whole_body(page, in_flight));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(CONTENT_TYPE, html);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Reports a failure, and returns the response to the client.
    fn fail(&self, failure: &Failure, in_flight: RequestInFlight) -> ServerResponse {
        let (status, text) = failure.report();
        let mut response =
            Response::new(self.whole_body(Bytes::from_static(text.as_bytes()), in_flight));
        *response.status_mut() = status;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn size_of_headers<B>(request: &Request<B>) -> usize {
    let headers = request.headers().iter();
    let size = headers.map(|(name, value)| name.as_str().len() + value.len());
    let target = request.uri().path_and_query();
    size.sum::<usize>() + target.map_or(0, |target| target.as_str().len())
}

/// Returns whether a response with this status has no body (RFC 9110 §6.4.1).
fn has_no_body(status: StatusCode) -> bool {
    [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// Returns why a request is refused before the application gets it.
fn refusal(request: &Request<RequestBody>) -> Option<Failure> {
    // RFC 9112 §3.2 asks for this.
    if !authority::names_its_host(request) {
        return Some(Failure::NoHost);
    }
    if request.headers().len() > MAX_HEADERS {
        return Some(Failure::TooManyHeaders);
    }
    request
        .body()
        .will_be_too_long()
        .then_some(Failure::Body(Fault::TooLong))
}
