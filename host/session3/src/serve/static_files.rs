//! Static files beside the application: which file answers a request, and with which headers.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_RANGE, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use tower_http::services::ServeDir;
use tower_http::services::fs::{DefaultServeDirFallback, ServeFileSystemResponseBody};
use wasmtime::{Result, ensure, format_err};

use super::static_directory::StaticDirectory;

/// How much of a file is read at a time, in bytes.
pub const CHUNK: usize = 32 << 10;

/// The body of a response that has a file.
pub type FileBody = ServeFileSystemResponseBody;

/// The response to a request for a static file.
pub struct FileResponse {
    /// The response. Its body may be longer than `length` if the file has grown since.
    pub response: Response<FileBody>,
    /// The length of the content, which is 0 for a response without content, such as to HEAD.
    pub length: u64,
}

/// The directories of static files.
pub struct StaticFiles {
    sites: Vec<Site>,
    cache_control: HeaderValue,
}

/// The files of a directory, below a path of the server.
struct Site {
    /// The path, with a slash at its end.
    path: String,
    files: ServeDir<DefaultServeDirFallback, StaticDirectory>,
}

impl StaticFiles {
    /// Opens directories, each with the path below which its files are. Browsers may keep a file
    /// for `max_age`.
    ///
    /// # Errors
    ///
    /// If a directory cannot be read, or a path cannot be that of a request.
    pub fn open(directories: &[(PathBuf, String)], max_age: Duration) -> Result<Self> {
        let cache_control = format!("public, max-age={}", max_age.as_secs());
        Ok(Self {
            sites: directories.iter().map(Site::open).collect::<Result<_>>()?,
            cache_control: HeaderValue::try_from(cache_control)?,
        })
    }

    /// Returns whether a request may be one for a file, by its method and its path.
    pub fn may_have(&self, request: &Request<()>) -> bool {
        let path = request.uri().path();
        [Method::GET, Method::HEAD].contains(request.method())
            && self.sites.iter().any(|site| site.path_of(path).is_some())
    }

    /// Returns the response to a request for a file; `None` if the application has to answer.
    /// If several directories have the file, the first one answers.
    ///
    /// # Errors
    ///
    /// If the server lacks what it needs to open a file, such as file descriptors.
    pub async fn find(&self, request: &Request<()>) -> io::Result<Option<FileResponse>> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Ok(None);
        }
        for site in &self.sites {
            if let Some(path) = site.path_of(request.uri().path())
                && let Some(mut response) = site.get(request, path).await?
            {
                self.complete(&mut response);
                let length = content_length(request.method(), &response);
                return Ok(Some(FileResponse { response, length }));
            }
        }
        Ok(None)
    }

    /// Adds the headers that tower-http leaves out.
    fn complete(&self, response: &mut Response<FileBody>) {
        let has_validated = [
            StatusCode::OK,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::NOT_MODIFIED,
        ]
        .contains(&response.status());
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if has_validated {
            headers.insert(CACHE_CONTROL, self.cache_control.clone());
        }
        if let Some(kind) = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            && kind.starts_with("text/")
            && let Ok(kind) = HeaderValue::try_from(format!("{kind}; charset=utf-8"))
        {
            headers.insert(CONTENT_TYPE, kind);
        }
    }
}

impl Site {
    fn open((directory, path): &(PathBuf, String)) -> Result<Self> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte);
        ensure!(
            path.starts_with('/') && path.bytes().all(is_plain),
            "{path}: this is no path of static files: begin it with a slash, and write it \
             without spaces, percent signs and what is not ASCII"
        );
        let opened = StaticDirectory::open(directory).map_err(|error| {
            format_err!(
                "{}: the directory of static files cannot be read: {error}",
                directory.display()
            )
        })?;
        let files = ServeDir::with_backend("", opened)
            .append_index_html_on_directories(false)
            .ignore_multi_range_requests(true)
            .precompressed_br()
            .precompressed_gzip()
            .with_buf_chunk_size(CHUNK);
        let path = format!("{}/", path.trim_end_matches('/'));
        Ok(Self { path, files })
    }

    /// Returns the path of a file below the directory for the path of a request, still
    /// percent-encoded; `None` if a client may have no such file.
    fn path_of(&self, requested: &str) -> Option<Uri> {
        let path = requested.strip_prefix(&self.path)?;
        let index = match path.is_empty() || path.ends_with('/') {
            true => "index.html",
            false => "",
        };
        let path = format!("{path}{index}");
        let is_plain = path.split('/').all(is_plain_name);
        is_plain.then(|| Uri::try_from(format!("/{path}")).ok())?
    }

    /// Returns the response with a file; `None` if there is no such file.
    async fn get(
        &self,
        request: &Request<()>,
        path: Uri,
    ) -> io::Result<Option<Response<FileBody>>> {
        let mut for_file = request.clone();
        *for_file.uri_mut() = path;
        if !has_usable_range(request) {
            for_file.headers_mut().remove(RANGE);
        }
        let response = self.call(for_file.clone()).await?;
        if response
            .as_ref()
            .is_some_and(|response| is_of_other_version(request, response))
        {
            for_file.headers_mut().remove(RANGE);
            return self.call(for_file).await;
        }
        Ok(response)
    }

    async fn call(&self, request: Request<()>) -> io::Result<Option<Response<FileBody>>> {
        match self.files.clone().try_call(request).await {
            Ok(response) if response.status() == StatusCode::NOT_FOUND => Ok(None),
            Ok(response) => Ok(Some(response)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns whether a part of a path, which is percent-encoded, can name a file that a client may
/// have. Names that begin with a dot cannot, nor can those that a proxy before the server may
/// understand in another way than the server does.
fn is_plain_name(encoded: &str) -> bool {
    let Ok(name) = percent_decode_str(encoded).decode_utf8() else {
        return false;
    };
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// Returns whether the server can answer a request with a part of a file. It ignores units other
/// than bytes (RFC 9110 §14.2), and methods other than GET.
fn has_usable_range(request: &Request<()>) -> bool {
    let range = request.headers().get(RANGE);
    let is_in_bytes = range.is_some_and(|range| range.as_bytes().starts_with(b"bytes="));
    is_in_bytes && request.method() == Method::GET
}

/// Returns whether a client has a part of another version of a file than that of the response,
/// so that it needs all of the file (RFC 9110 §13.1.5).
fn is_of_other_version<B>(request: &Request<()>, response: &Response<B>) -> bool {
    let is_about_range = [
        StatusCode::PARTIAL_CONTENT,
        StatusCode::RANGE_NOT_SATISFIABLE,
    ]
    .contains(&response.status());
    let version = request.headers().get(IF_RANGE);
    is_about_range && version.is_some() && version != response.headers().get(ETAG)
}

fn content_length<B>(method: &Method, response: &Response<B>) -> u64 {
    let has_content = [StatusCode::OK, StatusCode::PARTIAL_CONTENT].contains(&response.status());
    if method == Method::HEAD || !has_content {
        return 0;
    }
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// Creates the directory `site` with some files, beside a file that no client may have.
    fn place() -> TempDir {
        let place = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        write("secret.txt", "secret");
        write("site/app.js", "app");
        write("site/a b.txt", "space");
        write("site/docs/index.html", "index");
        write("site/.env", "secret");
        write("site/.git/config", "secret");
        write("site/..data/v1.txt", "v1");
        let link = |to: &str, name: &str| {
            symlink(to, place.path().join("site").join(name)).expect("a link");
        };
        link("..data/v1.txt", "inside.txt");
        link("../secret.txt", "outside.txt");
        link("..", "parent");
        link("/etc/passwd", "passwd");
        link("loop", "loop");
        place
    }

    fn open(place: &TempDir, path: &str) -> Result<StaticFiles> {
        let directory = place.path().join("site");
        StaticFiles::open(&[(directory, path.into())], Duration::from_secs(60))
    }

    async fn status(files: &StaticFiles, method: Method, path: &str) -> Option<u16> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = Uri::try_from(path).expect(path);
        let found = files.find(&request).await.expect(path);
        found.map(|found| found.response.status().as_u16())
    }

    #[tokio::test]
    async fn only_files_of_the_directory_are_found() {
        let place = place();
        let files = open(&place, "/").expect("a directory");
        for path in [
            "/app.js",
            "/a%20b.txt",
            "/%61pp.js",
            "/docs/",
            "/docs/index.html",
            "/inside.txt",
        ] {
            assert_eq!(status(&files, Method::GET, path).await, Some(200), "{path}");
            assert_eq!(
                status(&files, Method::HEAD, path).await,
                Some(200),
                "{path}"
            );
            assert_eq!(status(&files, Method::POST, path).await, None, "{path}");
        }
        for path in [
            "/",
            "/docs",
            "/app.js/",
            "/missing",
            "/.env",
            "/%2eenv",
            "/.git/config",
            "/..data/v1.txt",
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/%252e%252e/secret.txt",
            "/docs/../app.js",
            "/docs/..%2f..%2fsecret.txt",
            "/..%5csecret.txt",
            "/docs%2findex.html",
            "/app.js%00",
            "/%00",
            "//etc/passwd",
            "/%2fetc/passwd",
            "//app.js",
            "/docs//index.html",
            "/./app.js",
            "/%ff",
            "/outside.txt",
            "/parent/secret.txt",
            "/passwd",
            "/loop",
            "/app.js/x",
        ] {
            assert_eq!(status(&files, Method::GET, path).await, None, "{path}");
            assert_eq!(status(&files, Method::HEAD, path).await, None, "{path}");
        }
    }

    #[tokio::test]
    async fn a_path_limits_what_is_a_file() {
        let place = place();
        for path in ["/assets", "/assets/"] {
            let files = open(&place, path).expect("a directory");
            assert_eq!(
                status(&files, Method::GET, "/assets/app.js").await,
                Some(200)
            );
            for other in ["/app.js", "/assetsapp.js", "/assets", "/assets//app.js"] {
                assert_eq!(status(&files, Method::GET, other).await, None, "{other}");
            }
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let place = place();
        for path in ["", "assets", "/a b", "/a%20b", "/?", "/ü"] {
            assert!(open(&place, path).is_err(), "{path}");
        }
        for directory in ["missing", "secret.txt"] {
            let directories = [(place.path().join(directory), "/".into())];
            let opened = StaticFiles::open(&directories, Duration::ZERO);
            let why = opened.err().expect(directory).to_string();
            assert!(why.contains("cannot be read"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_part_of_another_version_is_answered_with_all_of_the_file() {
        let place = place();
        let files = open(&place, "/").expect("a directory");
        let get = async |headers: &[(_, &str)]| {
            let mut request = Request::new(());
            *request.uri_mut() = Uri::from_static("/app.js");
            for (name, value) in headers {
                let value = HeaderValue::try_from(*value).expect("a value");
                request.headers_mut().insert(name, value);
            }
            let found = files.find(&request).await.expect("no error");
            found.expect("the file").response
        };
        let part = get(&[(RANGE, "bytes=1-")]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        let version = part.headers()[ETAG].to_str().expect("a version").to_owned();
        for (version, range, status) in [
            (&*version, "bytes=1-", 206),
            ("\"other\"", "bytes=1-", 200),
            ("\"other\"", "bytes=9-", 200),
            (&*version, "bytes=9-", 416),
            (&*version, "lines=1-", 200),
            (&*version, "bytes=0-0,2-2", 200),
        ] {
            let response = get(&[(RANGE, range), (IF_RANGE, version)]).await;
            assert_eq!(response.status().as_u16(), status, "{version} {range}");
        }
    }
}
