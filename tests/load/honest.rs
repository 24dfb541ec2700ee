//! The honest visitors: each counts the visits of its own session, downloads or uploads.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use parking_lot::Mutex;
use session3_test_support::dice::Dice;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::client::{Client, Upload};
use crate::plan::{Plan, Visitors};
use crate::process::{Clock, Job, PHASES, Phase};
use crate::report::Report;

/// How long a visitor waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How fast the slow visitors download, in bytes per second.
const DOWNLOAD_RATE: u64 = 64_000;
/// The sizes of what they download, in KiB. The first ones fit the server's buffers.
const DOWNLOADS: [u64; 5] = [640, 640, 640, 3000, 8000];
/// What is uploaded: a megabyte, at 200 kB per second.
const UPLOAD: usize = 1_000_000;
const UPLOAD_PIECE: usize = 20_000;
const UPLOAD_INTERVAL: Duration = Duration::from_millis(100);
/// How many visitors look at their counts at the same time in the end.
const LAST_VISITS: usize = 50;

/// What all visitors of this process share.
struct Visit {
    job: Job,
    clock: Clock,
    /// The figures of the phases.
    figures: Mutex<[Figures; PHASES.len()]>,
    lost: Mutex<Report>,
}

#[derive(Default)]
struct Figures {
    report: Report,
    /// How long the visits took, in microseconds.
    latencies: Vec<u32>,
}

/// Runs all visitors until the end, and returns their figures.
pub async fn visit(job: Job, clock: Clock) -> Report {
    let Visitors {
        active,
        idle,
        downloads,
        uploads,
    } = Plan::visitors_of(job.connections);
    let visit = Arc::new(Visit {
        job,
        clock: clock.clone(),
        figures: Mutex::default(),
        lost: Mutex::default(),
    });
    let mut dice = Dice::new(job.seed);
    let mut counters = JoinSet::new();
    for number in 0..active + idle {
        let think = match number < active {
            true => (1.0, 3.0),
            false => (30.0, 60.0),
        };
        let dice = Dice::new(dice.roll());
        counters.spawn(Counter::new(visit.clone(), dice, think).run());
    }
    let mut transfers = JoinSet::new();
    for number in 0..downloads + uploads {
        let (visit, dice) = (visit.clone(), Dice::new(dice.roll()));
        match number < downloads {
            true => transfers.spawn(visit.download_again_and_again(dice)),
            false => transfers.spawn(visit.upload_again_and_again(dice)),
        };
    }
    let counters = counters.join_all().await;
    transfers.shutdown().await;
    let places = Arc::new(Semaphore::new(LAST_VISITS));
    let mut last = JoinSet::new();
    for mut counter in counters {
        let places = places.clone();
        last.spawn(async move {
            let _place = places.acquire().await;
            counter.visit().await;
        });
    }
    last.join_all().await;
    visit.report()
}

impl Visit {
    /// Notes how a request ended that was sent at `start` in a phase.
    fn note(&self, phase: Phase, start: Instant, kind: &str, ended: Result<(), String>) {
        let mut figures = self.figures.lock();
        let figures = &mut figures[phase as usize];
        figures.report.add("requests", 1);
        figures.report.add(format!("kind {kind}"), 1);
        match ended {
            Ok(()) if kind == "visit" => {
                let micros = u32::try_from(start.elapsed().as_micros());
                figures.latencies.push(micros.unwrap_or(u32::MAX));
            }
            Ok(()) => {}
            Err(problem) => {
                figures.report.add("failed", 1);
                figures.report.add(format!("problem {kind}: {problem}"), 1);
            }
        }
    }

    fn report(&self) -> Report {
        let mut all = Report::default();
        for (figures, (_, phase)) in self.figures.lock().iter_mut().zip(PHASES) {
            let latencies = &mut figures.latencies;
            latencies.sort_unstable();
            for (name, permille) in [("p50", 500), ("p99", 990), ("p999", 999), ("max", 1000)] {
                let index = (latencies.len() * permille / 1000).min(latencies.len().max(1) - 1);
                let micros = latencies.get(index).copied().unwrap_or_default();
                all.add(format!("{phase} {name}"), micros.into());
            }
            for (name, count) in figures.report.below("") {
                all.add(format!("{phase} {name}"), count);
            }
        }
        for (name, count) in self.lost.lock().below("") {
            all.add(name, count);
        }
        all
    }

    async fn download_again_and_again(self: Arc<Self>, mut dice: Dice) {
        sleep(self.job.arrival.mul_f64(fraction(&mut dice))).await;
        loop {
            let kibibytes = *dice.pick(&DOWNLOADS);
            let (phase, start) = (self.clock.phase(), Instant::now());
            let limit = Duration::from_secs(kibibytes * 1024 / DOWNLOAD_RATE) * 2 + PATIENCE;
            let ended = timeout(limit, self.download(kibibytes)).await;
            let ended = ended.unwrap_or_else(|_| Err("out of time".into()));
            self.note(phase, start, &format!("download of {kibibytes} KiB"), ended);
            sleep(Duration::from_secs_f64(fraction(&mut dice))).await;
        }
    }

    async fn download(&self, kibibytes: u64) -> Result<(), String> {
        let mut client = Client::with_slow_link(self.job.server);
        let response = client.get(&format!("/bytes/{kibibytes}")).await?;
        check_status(&response)?;
        let (start, mut length) = (Instant::now(), 0);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let seconds = start.elapsed().as_secs() / 10 * 10;
                format!("cut off after {seconds} s or more: {error}")
            })?;
            length += frame.data_ref().map_or(0, |data| data.len() as u64);
            sleep_until(start + Duration::from_secs_f64(length as f64 / DOWNLOAD_RATE as f64))
                .await;
        }
        match length == kibibytes * 1024 {
            true => Ok(()),
            false => Err("it is too short".into()),
        }
    }

    async fn upload_again_and_again(self: Arc<Self>, mut dice: Dice) {
        sleep(self.job.arrival.mul_f64(fraction(&mut dice))).await;
        let mut client = Client::new(self.job.server);
        loop {
            let has_length = dice.percent(50);
            let body = Upload::new(UPLOAD, UPLOAD_PIECE, UPLOAD_INTERVAL, has_length);
            let (phase, start) = (self.clock.phase(), Instant::now());
            let uploading = async {
                let text = text(client.post("/body", body).await?).await?;
                match text == UPLOAD.to_string() {
                    true => Ok(()),
                    false => Err(format!("the server received {text} bytes")),
                }
            };
            let ended = timeout(PATIENCE, uploading).await;
            let ended = ended.unwrap_or_else(|_| Err("out of time".into()));
            self.note(phase, start, "upload", ended);
            sleep(Duration::from_secs_f64(10.0 * fraction(&mut dice))).await;
        }
    }
}

/// A visitor that counts its visits.
struct Counter {
    visit: Arc<Visit>,
    dice: Dice,
    /// The shortest and the longest time between two visits, in seconds.
    think: (f64, f64),
    client: Client,
    /// The last count that the server has acknowledged.
    count: u64,
    /// How many visits since then may have been counted, without an answer.
    unknown: u64,
}

impl Counter {
    fn new(visit: Arc<Visit>, dice: Dice, think: (f64, f64)) -> Self {
        let client = Client::new(visit.job.server);
        Self {
            visit,
            dice,
            think,
            client,
            count: 0,
            unknown: 0,
        }
    }

    /// Visits until the end.
    async fn run(mut self) -> Self {
        sleep(self.visit.job.arrival.mul_f64(fraction(&mut self.dice))).await;
        let mut is_first = true;
        while self.visit.clock.phase() != Phase::End {
            self.visit().await;
            let (shortest, longest) = self.think;
            // From the beginning, the visits of all are spread evenly.
            let shortest = if is_first { 0.0 } else { shortest };
            is_first = false;
            let seconds = shortest + (longest - shortest) * fraction(&mut self.dice);
            let mut clock = self.visit.clock.clone();
            let _ = timeout(Duration::from_secs_f64(seconds), clock.wait_for_end()).await;
        }
        self
    }

    /// Visits once, and notes how that went.
    async fn visit(&mut self) {
        let (phase, start) = (self.visit.clock.phase(), Instant::now());
        let repeated = self.client.repeated;
        let visited = async {
            let text = text(self.client.get("/visit").await?).await?;
            text.parse::<u64>()
                .map_err(|_| "it has no count".to_owned())
        };
        let visited = match timeout(PATIENCE, visited).await {
            Ok(visited) => visited,
            Err(_) => Err("no answer in time".into()),
        };
        let repeated = self.client.repeated - repeated;
        self.unknown += repeated;
        let ended = match visited {
            Ok(count) => {
                self.check(count);
                Ok(())
            }
            Err(problem) => {
                self.client.close();
                self.unknown += 1;
                Err(problem)
            }
        };
        self.visit.note(phase, start, "visit", ended);
        self.visit.figures.lock()[phase as usize]
            .report
            .add("repeated", repeated);
    }

    /// Checks a count that the server has acknowledged.
    fn check(&mut self, count: u64) {
        let least = self.count + 1;
        if count < least {
            let lost = format!("lost after {}: {count}", self.count);
            self.visit.lost.lock().add(lost, 1);
        } else if count > least + self.unknown {
            let surplus = format!("surplus after {}: {count}", self.count);
            self.visit.lost.lock().add(surplus, 1);
        }
        if !self.client.has_cookie() {
            self.visit.lost.lock().add("lost: no cookie", 1);
        }
        (self.count, self.unknown) = (count, 0);
    }
}

/// Returns the text of a response that is fine.
async fn text(response: Response<Incoming>) -> Result<String, String> {
    check_status(&response)?;
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| format!("it is incomplete: {error}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

fn check_status(response: &Response<Incoming>) -> Result<(), String> {
    match response.status() {
        StatusCode::OK => Ok(()),
        status => Err(format!("status {}", status.as_u16())),
    }
}

/// Returns a random number from 0 to 1.
fn fraction(dice: &mut Dice) -> f64 {
    dice.below(1 << 20) as f64 / f64::from(1 << 20)
}
