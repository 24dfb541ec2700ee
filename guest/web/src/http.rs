//! Reads requests and sends responses over wasi:http.

use crate::bindings::wasi::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam, Scheme,
};

/// The largest number of bytes that one call of `blocking-write-and-flush` may write.
const CHUNK: usize = 4096;

/// The size at which reading a submitted form stops, in bytes. The forms of the demo are much
/// smaller.
const MAX_FORM: usize = 16 << 10;

/// A request.
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// Whether the browser uses TLS.
    pub is_secure: bool,
    /// The values of the Cookie headers.
    pub cookies: Vec<Vec<u8>>,
    /// The User-Agent header, if it is valid UTF-8.
    pub user_agent: Option<String>,
    /// The fields of the submitted form if the method is POST, otherwise those of the query.
    fields: Vec<(String, String)>,
}

impl Request {
    /// Returns the value of a field, or an empty string if there is no such field.
    pub fn field(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value)
    }
}

/// A complete response.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The names and values of the headers, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// An HTML page, or an empty string.
    pub body: String,
}

/// Reads a request, and its body if the method is POST.
pub fn read(request: &IncomingRequest) -> Request {
    let headers = request.headers();
    let target = request.path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let method = request.method();
    let fields = match method {
        Method::Post => body(request),
        _ => query.as_bytes().to_vec(),
    };
    Request {
        method,
        path: path.to_owned(),
        is_secure: matches!(request.scheme(), Some(Scheme::Https)),
        cookies: headers.get("cookie"),
        user_agent: headers
            .get("user-agent")
            .into_iter()
            .next()
            .and_then(|value| String::from_utf8(value).ok()),
        fields: form_urlencoded::parse(&fields).into_owned().collect(),
    }
}

/// Reads the body up to the size limit of forms.
fn body(request: &IncomingRequest) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(body) = request.consume() else {
        return bytes;
    };
    if let Ok(stream) = body.stream() {
        // At its end, the stream returns an error, too.
        while let Ok(chunk) = stream.blocking_read(MAX_FORM as u64) {
            bytes.extend(chunk);
            if bytes.len() >= MAX_FORM {
                break;
            }
        }
    }
    bytes
}

/// Sends a response. Errors are ignored: after them, the client cannot be reached.
pub fn send(out: ResponseOutparam, response: Response) {
    let fields = Fields::new();
    for (name, value) in &response.headers {
        // This fails only for a header that programs must not set, which no page adds.
        let _ = fields.append(name, value.as_bytes());
    }
    let outgoing = OutgoingResponse::new(fields);
    let _ = outgoing.set_status_code(response.status);
    let body = outgoing.body();
    ResponseOutparam::set(out, Ok(outgoing));
    if let Ok(body) = body {
        write(&body, response.body.as_bytes());
        let _ = OutgoingBody::finish(body, None);
    }
}

fn write(body: &OutgoingBody, bytes: &[u8]) {
    let Ok(stream) = body.write() else { return };
    for chunk in bytes.chunks(CHUNK) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}

/// Sends a short text with status 200. Calls `before_the_end` when the text is sent and the
/// response is not complete yet.
///
/// # Panics
///
/// If the host refuses the response: this is for the applications of tests.
pub fn respond(out: ResponseOutparam, text: &[u8], before_the_end: impl FnOnce()) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the body was not taken before");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream was not taken before");
    stream
        .blocking_write_and_flush(text)
        .expect("a short text is accepted");
    drop(stream);
    before_the_end();
    OutgoingBody::finish(body, None).expect("the body is complete");
}
