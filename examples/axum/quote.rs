//! A request to another server.

use std::net::SocketAddr;
use std::time::Duration;

use ureq::Agent;

/// What the other server sends.
pub const QUOTE: &str = include_str!("../../host/cli/templates/common/static/quote.txt.template");

/// The longest time of the request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The other server. It is this one, so that it is there.
#[derive(Clone, Copy)]
pub struct Server(pub SocketAddr);

impl Server {
    /// Asks the server on a thread on which a request may wait.
    pub async fn quote(self) -> String {
        let asked = tokio::task::spawn_blocking(move || self.ask()).await;
        match asked {
            Ok(Ok(quote)) => quote,
            Ok(Err(error)) => format!("There is no quote today: {error}."),
            Err(_) => "There is no quote today.".into(),
        }
    }

    fn ask(self) -> Result<String, ureq::Error> {
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT));
        let url = format!("http://{}/static/quote.txt", self.0);
        let mut answer = config.build().new_agent().get(url).call()?;
        answer.body_mut().read_to_string()
    }
}
