//! The hostile clients. Each does one thing again and again, whatever the server answers.

mod bodies;
mod greed;
mod http2;
mod idle;
mod malformed;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use session3_test_support::dice::Dice;
use tokio::time::sleep;

use crate::pacer::Pacer;
use crate::plan::Plan;
use crate::process::{Clock, Job};
use crate::report::Report;
use socket::Target;

/// What a hostile client does.
#[derive(Clone, Copy)]
enum Way {
    /// Takes nothing of many responses over one connection of HTTP/2.
    ZeroWindow,
    /// Reads nothing of one or many pages.
    Unread,
    /// Reads a byte of a page each second.
    Trickle,
    /// Reads nothing of a page that no buffer holds.
    Large,
    /// Sends a byte of a body each second.
    SlowUpload,
    /// Makes the application fail or take all memory.
    Greedy,
    /// Makes the application compute until its time is over.
    Loop,
    /// Opens connections and breaks them off.
    Churn,
    /// Sends many requests at once and reads nothing.
    Pipeline,
    /// Sends what is not HTTP.
    Malformed,
    /// Sends nothing, or slowly, or pings.
    Idle,
}

/// The ways, with their shares of the connections in permille, and how often each happens per
/// second, if ten thousand connections are open. What costs the server processor time is bounded,
/// since the clients need the same processors. The rest of the connections is idle.
const WAYS: [(Way, &str, usize, f64); 11] = [
    (Way::ZeroWindow, "HTTP/2 with a window of 0", 15, 1.5),
    (Way::Unread, "page not read", 80, 15.0),
    (Way::Trickle, "page read bytewise", 60, 20.0),
    (Way::Large, "60 MB not read", 40, 3.0),
    (Way::SlowUpload, "slow upload", 120, 50.0),
    (Way::Greedy, "greedy request", 10, 2.0),
    (Way::Loop, "endless request", 3, 0.05),
    (Way::Churn, "connection broken off", 40, 60.0),
    (Way::Pipeline, "256 requests at once", 5, 0.25),
    (Way::Malformed, "malformed request", 50, 40.0),
    (Way::Idle, "idle connection", 577, 200.0),
];

/// Attacks until the end, and returns how often each way was gone.
pub async fn attack(job: Job, mut clock: Clock) -> Report {
    let report = Arc::new(Mutex::new(Report::default()));
    let mut dice = Dice::new(!job.seed);
    let all = Plan::hostile_of(job.connections);
    let scale = job.connections as f64 / 10_000.0;
    for (way, name, permille, rate) in WAYS {
        let pacer = Arc::new(Pacer::per_second(rate * scale));
        for _ in 0..(all * permille / 1000).max(1) {
            let client = Hostile {
                target: Target::new(job.server),
                dice: Dice::new(dice.roll()),
            };
            let (pacer, report) = (pacer.clone(), report.clone());
            tokio::spawn(client.go_again_and_again(way, name, pacer, report));
        }
    }
    clock.wait_for_end().await;
    // The runtime drops all clients when this returns.
    let mut report = report.lock();
    std::mem::take(&mut *report)
}

/// A hostile client.
struct Hostile {
    target: Target,
    dice: Dice,
}

impl Hostile {
    async fn go_again_and_again(
        mut self,
        way: Way,
        name: &'static str,
        pacer: Arc<Pacer>,
        report: Arc<Mutex<Report>>,
    ) {
        loop {
            pacer.wait().await;
            report.lock().add(name, 1);
            // An error is how most connections end.
            if self.go(way).await.is_err() {
                report.lock().add(format!("{name}, ended by an error"), 1);
            }
            let pause = self.dice.below(1000) as u64;
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn go(&mut self, way: Way) -> std::io::Result<()> {
        let Self { target, dice } = self;
        match way {
            Way::ZeroWindow => http2::zero_window(target, dice).await,
            Way::Unread => bodies::unread(target, dice).await,
            Way::Trickle => bodies::trickle(target).await,
            Way::Large => bodies::large(target, dice).await,
            Way::SlowUpload => bodies::slow_upload(target, dice).await,
            Way::Greedy => greed::greedy(target, dice).await,
            Way::Loop => greed::endless(target, dice).await,
            Way::Churn => idle::churn(target, dice).await,
            Way::Pipeline => bodies::pipeline(target).await,
            Way::Malformed => malformed::malformed(target, dice).await,
            Way::Idle => idle::idle(target, dice).await,
        }
    }
}
