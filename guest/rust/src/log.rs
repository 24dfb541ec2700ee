//! Lines for the log of the server, on standard error.

/// Writes a line.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub fn line(text: &str) {
    eprintln!("{text}");
}

/// Writes a line. The standard library has no standard error on this target.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub fn line(text: &str) {
    /// The largest number of bytes that one call may write.
    const CHUNK: usize = 4096;

    let stream = wasip2::cli::stderr::get_stderr();
    for chunk in format!("{text}\n").as_bytes().chunks(CHUNK) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}

/// Makes a panic write its message and its place to the log of the server. Without that, a panic
/// on `wasm32-unknown-unknown` says nothing but that an `unreachable` instruction was executed. On
/// other targets, the standard library writes them, and this does nothing.
///
/// The handlers of this crate call this. A second call does nothing.
pub fn log_panics() {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    {
        static INSTALLED: std::sync::Once = std::sync::Once::new();
        INSTALLED.call_once(|| std::panic::set_hook(Box::new(|panic| line(&panic.to_string()))));
    }
}
