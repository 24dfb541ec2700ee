//! A component that misbehaves spoils its own request and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session3::store::MemoryStore;
use session3::{ServeOptions, Server, SessionsCtx};
use session3_test_fixtures::GUEST;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use session3_test_support::block_on;

async fn serve() -> SocketAddr {
    serve_until(std::future::pending()).await.0
}

async fn serve_until(
    stop: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    listen(server(500), stop).await
}

/// Returns a server that limits the time of a request, in milliseconds.
fn server(time_limit: u64) -> Server {
    let sessions = SessionsCtx::new(Arc::new(MemoryStore::default()));
    let options = ServeOptions::default().time_limit(Duration::from_millis(time_limit));
    Server::new(GUEST, sessions, options).unwrap()
}

async fn listen(
    server: Server,
    stop: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (
        address,
        tokio::spawn(server.serve(listener.try_into().unwrap(), stop)),
    )
}

/// Returns the status, and the body or the error in reading it.
async fn get(address: SocketAddr, path: &'static str) -> (u16, Result<String, ureq::Error>) {
    spawn_blocking(move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.build().new_agent();
        let mut response = agent.get(format!("http://{address}{path}")).call().unwrap();
        let status = response.status().as_u16();
        (status, response.body_mut().read_to_string())
    })
    .await
    .unwrap()
}

#[test]
fn a_trap_a_loop_and_a_hunger_for_memory_end_with_their_request() {
    block_on(async {
        let address = serve().await;
        for (path, status) in [
            ("/trap", 500),
            ("/loop", 504),
            ("/memory", 500),
            ("/silent", 500),
        ] {
            assert_eq!(get(address, path).await.0, status, "{path}");
            let (status, body) = get(address, "/").await;
            assert_eq!((status, body.unwrap().as_str()), (200, "fine"));
        }
    });
}

/// Requests are served although more guests loop than the runtime has threads.
#[test]
fn others_are_served_while_guests_loop() {
    block_on(async {
        let address = serve().await;
        let loops: Vec<_> = (0..16)
            .map(|_| tokio::spawn(get(address, "/loop")))
            .collect();
        for _ in 0..10 {
            assert_eq!(get(address, "/").await.0, 200);
        }
        for result in loops {
            assert_eq!(result.await.unwrap().0, 504);
        }
    });
}

#[test]
fn a_request_under_way_is_finished_before_the_end() {
    block_on(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let (address, server) = serve_until(async { stopped.await.unwrap() }).await;
        let request = tokio::spawn(get(address, "/loop"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send(()).unwrap();
        assert_eq!(
            request.await.unwrap().0,
            504,
            "the request gets its response"
        );
        server.await.unwrap();
        tokio::net::TcpStream::connect(address).await.unwrap_err();
    });
}

/// Two clones of a server serve two listeners, and one of them ends while a request of the other
/// one runs.
#[test]
fn each_listener_stops_for_itself() {
    block_on(async {
        let server = server(5000);
        let (stop, stopped) = oneshot::channel::<()>();
        let (other, _) = listen(server.clone(), std::future::pending()).await;
        let (address, first) = listen(server, async { stopped.await.unwrap() }).await;
        assert_eq!(get(address, "/").await.0, 200);
        let running = tokio::spawn(get(other, "/loop"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send(()).unwrap();
        let start = Instant::now();
        while !first.is_finished() {
            assert_eq!(get(other, "/").await.0, 200);
            assert!(start.elapsed() < Duration::from_secs(4), "it goes on");
        }
        assert!(!running.is_finished(), "the request of the other one runs");
        assert_eq!(running.await.unwrap().0, 504);
    });
}

#[test]
fn a_response_that_does_not_end_is_cut_off_at_the_time_limit() {
    block_on(async {
        let address = serve().await;
        let (status, body) = get(address, "/half").await;
        assert_eq!(status, 200);
        assert!(
            body.is_err(),
            "a response that was cut off should be an error"
        );
        assert_eq!(get(address, "/").await.0, 200);
    });
}
