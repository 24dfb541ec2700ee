//! Reads requests and sends responses over wasi:http.

use crate::bindings::wasi::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;

/// The largest number of bytes that one call of `blocking-write-and-flush` may write.
const CHUNK: usize = 4096;

/// The size that a submitted form may have, in bytes. The forms of the demo are much smaller.
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
    /// The client's address, from the header X-Forwarded-For. `session3 serve` sets it; of
    /// another host, it may be what the client claims.
    pub remote_address: Option<String>,
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

/// Why a form was not read. To act on the part that arrived would be dangerous: the first half
/// of one name may be another name.
pub struct BadForm {
    /// The status for the response.
    pub status: u16,
    /// A sentence for the user.
    pub text: &'static str,
}

const CUT_SHORT: BadForm = BadForm {
    status: 400,
    text: "Only a part of the form arrived, so nothing was changed. Send it again.",
};
const TOO_LARGE: BadForm = BadForm {
    status: 413,
    text: "The form is too large, so nothing was changed. Send less.",
};

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
///
/// # Errors
///
/// [`BadForm`] if the body is too large, or ends before its end.
pub fn read(request: &IncomingRequest) -> Result<Request, BadForm> {
    let headers = request.headers();
    let target = request.path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let method = request.method();
    let fields = match method {
        Method::Post => body(request)?,
        _ => query.as_bytes().to_vec(),
    };
    Ok(Request {
        method,
        path: path.to_owned(),
        is_secure: matches!(request.scheme(), Some(Scheme::Https)),
        cookies: headers.get("cookie"),
        remote_address: text_of(&headers, "x-forwarded-for"),
        user_agent: text_of(&headers, "user-agent"),
        fields: form_urlencoded::parse(&fields).into_owned().collect(),
    })
}

/// Returns the first value of a header, if it is valid UTF-8.
fn text_of(headers: &Fields, name: &str) -> Option<String> {
    let value = headers.get(name).into_iter().next()?;
    String::from_utf8(value).ok()
}

/// Reads the whole body.
fn body(request: &IncomingRequest) -> Result<Vec<u8>, BadForm> {
    let body = request.consume().map_err(|()| CUT_SHORT)?;
    let stream = body.stream().map_err(|()| CUT_SHORT)?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(MAX_FORM as u64) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => return Err(CUT_SHORT),
        }
        if bytes.len() > MAX_FORM {
            return Err(TOO_LARGE);
        }
    }
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
