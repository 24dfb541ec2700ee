//! Opens the images that power cuts may leave, and checks what a store finds in them.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use session3_store::{Maintenance, SessionId};
use session3_store_directory::{DirectoryStore, Durability, Options};
use session3_test_support::dice::Dice;
use session3_test_support::id;
use session3_test_support::layer::Layer;
use tokio::runtime::Runtime;

use super::history::{Allowed, Found, Step};
use super::materialised::Materialised;
use super::medium::{Cut, Event, Image, Medium};
use super::run::Run;
use super::{IMAGES, RUNS, SESSIONS};

/// One in this many images is of the whole directory.
pub const WHOLE: usize = 500;

/// Examines images, and counts what it finds.
pub struct Examination<'a> {
    pub runtime: &'a Runtime,
    pub durability: Durability,
    pub layer: Layer,
    pub sessions: BTreeMap<SessionId, (Materialised, Arc<dyn Maintenance>)>,
    pub whole: Materialised,
    pub images: [usize; 3],
    pub different: HashSet<u64>,
    pub found: [usize; 3],
    pub rolled_back: usize,
    pub cut_short: usize,
}

impl<'a> Examination<'a> {
    pub fn new(runtime: &'a Runtime, durability: Durability, layer: Layer) -> Self {
        let sessions = SESSIONS.map(|session| {
            let directory = Materialised::new();
            let options = Options::default().durability(durability).max_kept_files(0);
            let store = DirectoryStore::open(directory.path(), options).unwrap();
            (id(session), (directory, layer.over(store)))
        });
        Self {
            runtime,
            durability,
            layer,
            sessions: sessions.into(),
            whole: Materialised::new(),
            images: [0; 3],
            different: HashSet::new(),
            found: [0; 3],
            rolled_back: 0,
            cut_short: 0,
        }
    }

    pub fn figures(&self) -> String {
        let [prefixes, random, whole] = self.images;
        let [live, absent, corrupt] = self.found;
        let (different, rolled_back) = (self.different.len(), self.rolled_back);
        let cut_short = self.cut_short;
        format!(
            "{cut_short} operations cut short, {prefixes} prefixes, {random} random images of a session, {whole} of all; {different} \
             different: {live} sessions, {absent} absent, {corrupt} corrupt; {rolled_back} not as \
             they were when the power went; broken promises: 0"
        )
    }

    /// Cuts the power after every prefix of the run's events, and returns one of the images
    /// for the next run.
    pub fn examine(&mut self, run: &Run, before: &Image, dice: &mut Dice) -> Image {
        let mut medium = Medium::new(before);
        let moments = run.events.len() + 1;
        let goes_on = moments / 2 + dice.below(moments - moments / 2);
        self.cut_short += run.cut_short;
        let mut next = None;
        let mut images = IMAGES / RUNS;
        for cut in 0..moments {
            if let Some(event) = cut.checked_sub(1).map(|last| &run.events[last]) {
                medium.apply(event);
            }
            if cut < run.examined_from {
                continue;
            }
            for session in SESSIONS.map(id) {
                for mut extreme in [Cut::Nothing, Cut::All] {
                    self.examine_session(run, cut, &medium, &session, &mut extreme);
                }
            }
            self.images[0] += 1;
            let share = images / (moments - cut);
            images -= share;
            for _ in 0..share {
                if dice.below(WHOLE) == 0 {
                    self.examine_directory(run, cut, &medium, dice);
                    self.images[2] += 1;
                } else {
                    let session = pick_session(run, cut, dice);
                    self.examine_session(run, cut, &medium, &session, &mut Cut::random(dice));
                    self.images[1] += 1;
                }
            }
            if cut == goes_on {
                next = Some(medium.image(|_| true, &mut Cut::random(dice)));
            }
        }
        next.unwrap()
    }

    /// Examines the image of one session, unless the same image was examined before with the
    /// same states allowed.
    pub fn examine_session(
        &mut self,
        run: &Run,
        cut: usize,
        medium: &Medium,
        session: &SessionId,
        how: &mut Cut,
    ) {
        let name = session.to_string();
        let image = medium.image(|path| path.ends_with(&name), how);
        let allowed = Allowed::after(&run.steps[session], cut);
        let mut hasher = DefaultHasher::new();
        (session, &image, allowed.earlier.len(), allowed.steps.len()).hash(&mut hasher);
        if !self.different.insert(hasher.finish()) {
            return;
        }
        let (directory, store) = &self.sessions[session];
        directory.write(&image);
        let found = Found::from_load(self.runtime.block_on(store.load_session(session)));
        let is_whole = judge(self.runtime, &**store, session, &found, &allowed);
        if let Err(broken) = is_whole {
            fail(run, cut, session, &found, &allowed, &broken);
        }
        self.found[match found {
            Found::Whole(_) => 0,
            Found::Absent => 1,
            Found::Corrupt => 2,
        }] += 1;
        self.rolled_back += usize::from(allowed.steps.last().unwrap().state != found);
    }

    /// Examines an image of the whole directory: opens it, walks through it, and loads every
    /// session.
    pub fn examine_directory(&mut self, run: &Run, cut: usize, medium: &Medium, dice: &mut Dice) {
        self.whole
            .write(&medium.image(|_| true, &mut Cut::random(dice)));
        let options = Options::default().durability(self.durability);
        let store = DirectoryStore::open(self.whole.path(), options).unwrap();
        let store = self.layer.over(store);
        let page = self.runtime.block_on(store.iter_sessions(None, 100));
        let page = page.unwrap();
        for session in SESSIONS.map(id) {
            let found = Found::from_load(self.runtime.block_on(store.load_session(&session)));
            let in_page = match &found {
                Found::Absent => page.sessions.iter().all(|stored| stored.id != session),
                Found::Whole(stored) => page.sessions.contains(stored),
                Found::Corrupt => page.damaged.iter().any(|(id, _)| *id == session),
            };
            assert!(in_page, "a walk and a load differ");
            let allowed = Allowed::after(&run.steps[&session], cut);
            if let Err(broken) = judge(self.runtime, &*store, &session, &found, &allowed) {
                fail(run, cut, &session, &found, &allowed, &broken);
            }
        }
    }
}

/// Picks a session, mostly the one that the latest step changes.
pub fn pick_session(run: &Run, cut: usize, dice: &mut Dice) -> SessionId {
    let begins = |steps: &[Step]| {
        let begun = steps.iter().rev().find(|step| step.begins < cut);
        begun.map_or(0, |step| step.begins)
    };
    let latest = run.steps.iter().max_by_key(|(_, steps)| begins(steps));
    match latest {
        Some((session, _)) if dice.percent(60) => *session,
        _ => id(*dice.pick(&SESSIONS)),
    }
}

/// Checks that the found state is allowed, and that the index has the session's entry.
pub fn judge(
    runtime: &Runtime,
    store: &dyn Maintenance,
    session: &SessionId,
    found: &Found,
    allowed: &Allowed,
) -> Result<(), String> {
    if !allowed.has(found) {
        return Err("this state is not allowed".into());
    }
    if let Some(user) = found.user() {
        let sessions = runtime.block_on(store.sessions_of_user(user)).unwrap();
        if allowed.has_entry() && !sessions.contains(session) {
            return Err(format!("the index does not have it for {user}"));
        }
    }
    Ok(())
}

/// Panics, with the steps and the events before the cut.
pub fn fail(
    run: &Run,
    cut: usize,
    session: &SessionId,
    found: &Found,
    allowed: &Allowed,
    broken: &str,
) -> ! {
    let brief = |found: &Found| match found {
        Found::Whole(stored) => format!(
            "version {} of {:?} with {} bytes, modified {}, expires {}",
            stored.version,
            stored.state.user,
            stored.state.data.len(),
            stored.modified,
            stored.state.expires
        ),
        other => format!("{other:?}"),
    };
    let mut text = format!(
        "{session} after a cut at {cut}: {broken}\n  {}",
        brief(found)
    );
    for step in &allowed.steps {
        let (how, durability) = (step.how, step.durability);
        let (begins, ends, state) = (step.begins, step.ends, brief(&step.state));
        text += &format!("\n{begins}..{ends} {how:?} {durability:?}: {state}");
    }
    for (number, event) in run.events[..cut].iter().enumerate().rev().take(25) {
        let event = match event {
            Event::Write(name, offset, bytes) => {
                format!("write {} bytes at {offset} of {name}", bytes.len())
            }
            event => format!("{event:?}"),
        };
        text += &format!("\n{number}: {event}");
    }
    panic!("{text}");
}
