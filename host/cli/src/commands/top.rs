//! `session3 top`: what happens in a store, live in a terminal.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, value_parser};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};
use ratatui::{DefaultTerminal, Frame};
use session3::store::{Clock, SystemClock};
use session3_dashboard::counts::{AGES, Counts};
use session3_dashboard::servers::{MetricsUrl, Server, Servers, Window};
use session3_dashboard::{Census, Look, words};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::block_in_place;

use super::cache::Cache;
use super::output::{cut, escaped};
use super::{input, store};

/// How long a key may stay unnoticed.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// Show live in a terminal what happens in a store
///
/// Shows how many sessions there are, since when they are unused, and whose they
/// are; with --metrics, also the requests and the conflicts of running servers. The
/// sessions are counted in the background, a page at a time. Press q to quit, and r
/// to count again at once.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 top /tmp/sessions
  session3 top /tmp/sessions --metrics http://127.0.0.1:9090"
)]
pub struct Top {
    #[command(flatten)]
    store: store::Store,
    /// Show what a running server does, from its `--metrics`: http://HOST:PORT; may be given
    /// more than once
    #[arg(long, value_name = "URL")]
    metrics: Vec<MetricsUrl>,
    /// Draw again after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    interval: u32,
    #[command(flatten)]
    cache: Cache,
}

impl Top {
    /// Draws until the key `q`, Ctrl-C or SIGTERM.
    pub async fn run(self) -> Result<ExitCode> {
        ensure!(
            io::stdin().is_terminal() && io::stdout().is_terminal(),
            "top needs a terminal: use `session3 stats` or `session3 list --watch` elsewhere"
        );
        let store = self.store.open_read_only().await?;
        let administration = input::administration(store.clone(), &self.cache).await?;
        let mut terminate = signal(SignalKind::terminate())?;
        let screen = Screen {
            name: escaped(&self.store.name()),
            census: Census::start(store, administration, Arc::new(SystemClock)),
            servers: (!self.metrics.is_empty()).then(|| Servers::watch(self.metrics)),
        };
        let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
        let interval = Duration::from_secs(self.interval.into());
        let result = tokio::select! {
            result = screen.run(&mut terminal, interval) => result,
            _ = terminate.recv() => Ok(()),
        };
        ratatui::restore();
        result?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What is drawn.
struct Screen {
    name: String,
    census: Arc<Census>,
    servers: Option<Arc<Servers>>,
}

/// What a key asks for.
enum Command {
    Quit,
    CountAgain,
}

impl Screen {
    async fn run(&self, terminal: &mut DefaultTerminal, interval: Duration) -> Result<()> {
        loop {
            terminal.draw(|frame| self.draw(frame))?;
            let mut waited = Duration::ZERO;
            while waited < interval {
                match block_in_place(read_command)? {
                    Some(Command::Quit) => return Ok(()),
                    Some(Command::CountAgain) => self.census.count_again(),
                    None => waited += KEY_WAIT,
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn draw(&self, frame: &mut Frame) {
        let look = self.census.look();
        let servers = self.servers.as_ref().map(|servers| servers.look());
        let lines = SERVER_HEIGHT * servers.map_or(0, |servers| servers.len() as u16);
        let [title, state, middle, below] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(10),
            Constraint::Length(lines),
        ])
        .areas(frame.area());
        let name = format!("session3 top {}", self.name);
        frame.render_widget(Line::from(name).bold(), title);
        frame.render_widget(Line::from(state_of(&look)).dim(), state);
        if let Some(figures) = &look.figures {
            let [left, right] =
                Layout::horizontal([Constraint::Length(38), Constraint::Min(20)]).areas(middle);
            frame.render_widget(counts(&figures.counts), left);
            frame.render_widget(busiest(&figures.busiest, right), right);
        }
        draw_servers(frame, below, servers.unwrap_or_default());
    }
}

/// Waits for a key for a moment.
fn read_command() -> io::Result<Option<Command>> {
    if !event::poll(KEY_WAIT)? {
        return Ok(None);
    }
    let Event::Key(key) = event::read()? else {
        return Ok(None);
    };
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(match key.code {
        _ if key.kind == KeyEventKind::Release => None,
        KeyCode::Char('c') if is_control => Some(Command::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Command::Quit),
        KeyCode::Char('r') => Some(Command::CountAgain),
        _ => None,
    })
}

/// Returns how old the figures are, and how far the pass is.
fn state_of(look: &Look) -> String {
    let age = look.figures.as_ref().map(|figures| {
        let age = words::distance(figures.at, SystemClock.now());
        format!("counted {age}")
    });
    let progress = look.progress.map(|progress| {
        let visited = words::count(progress.visited);
        format!("counting: {visited} so far")
    });
    let problem = look.problem.as_ref();
    let problem = problem.map(|problem| format!("cannot be counted: {}", escaped(problem)));
    let keys = Some("q quits, r counts again".to_owned());
    let parts = [age, progress, problem, keys].into_iter().flatten();
    parts.collect::<Vec<_>>().join(" · ")
}

fn counts(counts: &Counts) -> Table<'static> {
    let row = |name: &str, value: String| Row::new([name.to_owned(), format!("{value:>12}")]);
    let mut rows = vec![
        row("Sessions", words::count(counts.sessions)).bold(),
        row("logged in", words::count(counts.with_user)),
        row("not logged in", words::count(counts.without_user())),
        row("expired", words::count(counts.expired)),
        row("damaged", words::count(counts.damaged)),
        row("users and data", words::bytes(counts.bytes)),
    ];
    let ages = AGES.iter().zip(counts.ages);
    rows.push(row("Last used", String::new()).bold());
    rows.extend(ages.map(|((name, _), count)| row(name, words::count(count))));
    let table = Table::new(rows, [Constraint::Length(20), Constraint::Length(12)]);
    table.block(Block::bordered().title("Sessions"))
}

fn busiest(users: &[(String, u64)], area: Rect) -> Table<'static> {
    let width = usize::from(area.width).saturating_sub(14);
    let rows = users.iter().map(|(user, count)| {
        let user = cut(escaped(user), width);
        Row::new([format!("{:>9}", words::count(*count)), user])
    });
    let table = Table::new(rows, [Constraint::Length(9), Constraint::Min(1)]);
    table.block(Block::bordered().title("Users with the most sessions"))
}

/// The number of lines for a server.
const SERVER_HEIGHT: u16 = 6;

fn draw_servers(frame: &mut Frame, area: Rect, servers: &[Server]) {
    let areas = Layout::vertical(servers.iter().map(|_| Constraint::Length(SERVER_HEIGHT)));
    for (server, area) in servers.iter().zip(areas.split(area).iter()) {
        let block = Block::bordered().title(server.url().to_string());
        let inner = block.inner(*area);
        frame.render_widget(block, *area);
        let [text, line] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(1)]).areas(inner);
        match (server.problem(), server.window()) {
            (Some(problem), _) => frame.render_widget(escaped(&problem), text),
            (None, None) => frame.render_widget("not asked yet", text),
            (None, Some(window)) => {
                frame.render_widget(Paragraph::new(rates(&window)), text);
                // A tenth of a request in a second is one unit of height.
                let rates = window.request_rates.iter().map(|rate| (rate * 10.0) as u64);
                frame.render_widget(Sparkline::default().data(rates.collect::<Vec<_>>()), line);
            }
        }
    }
}

/// Returns the lines about the requests of a server.
fn rates(window: &Window) -> Vec<Line<'static>> {
    let change = &window.change;
    let rate = window.request_rates.last().copied().unwrap_or(0.0);
    let time = |part| {
        let time = change.request_seconds.quantile(part);
        time.map_or_else(|| "-".into(), words::short)
    };
    vec![
        Line::from(format!(
            "{rate:.1} requests a second, half within {}, 99 % within {}",
            time(0.5),
            time(0.99)
        )),
        Line::from(format!(
            "{:.0} running, {:.0} connections, {:.1} conflicts a second, {:.0} in {}",
            change.running,
            change.connections,
            window.conflict_rate,
            change.conflicts,
            words::duration(window.time)
        )),
    ]
}
