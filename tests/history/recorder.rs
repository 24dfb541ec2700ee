//! The recorder of a history, which the clients share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use session3_store::SessionId;
use session3_test_support::dice::Dice;

use crate::client::Client;
use crate::history::History;
use crate::operation::{Action, Operation, Outcome};
use crate::subject::Subject;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so many operations, a session is replaced by a new one.
const MAX_OPERATIONS: usize = 100;
/// After so many operations, a session is replaced that was deleted and stays so.
const MAX_OPERATIONS_AFTER_DELETE: usize = 20;
/// After so many operations with unknown outcomes, a session is replaced by a new one.
const MAX_UNKNOWN: usize = 12;

/// How to record a history.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of all choices.
    pub seed: u64,
    /// The number of clients.
    pub clients: usize,
    /// The number of sessions that they use at the same time.
    pub sessions: usize,
    /// How many calls in a hundred are dropped before they have returned.
    pub drops: usize,
    /// Whether a session may be created again after it was deleted. A store that repeats a
    /// delete whose answer was lost may delete the new session, too.
    pub recreates: bool,
}

impl Plan {
    /// Returns the plan for eight clients with three sessions, which drop no call.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            clients: 8,
            sessions: 3,
            drops: 0,
            recreates: true,
        }
    }

    /// Returns the plan for clients whose answers may be lost, so that a delete is repeated.
    pub fn with_lost_answers(seed: u64) -> Self {
        Self {
            recreates: false,
            ..Self::new(seed)
        }
    }
}

/// Lets clients use these subjects, client by client in turn, until `faults` has ended. Returns
/// what they did.
pub async fn record(
    plan: Plan,
    subjects: Vec<Arc<dyn Subject>>,
    faults: impl AsyncFnOnce(&Recorder),
) -> History {
    let mut dice = Dice::new(plan.seed);
    let recorder = Arc::new(Recorder::new(plan, subjects, dice.roll()));
    let clients: Vec<_> = (0..plan.clients)
        .map(|number| Client::new(number, recorder.clone(), dice.roll()))
        .map(|client| tokio::spawn(client.work()))
        .collect();
    faults(&recorder).await;
    recorder.is_over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    recorder.load_all().await;
    let operations = std::mem::take(&mut *recorder.operations.lock());
    History { operations }
}

/// What the clients share.
pub struct Recorder {
    pub(crate) plan: Plan,
    subjects: Mutex<Vec<Arc<dyn Subject>>>,
    places: Mutex<Places>,
    /// Counts calls and returns.
    clock: AtomicU64,
    /// Counts the operations with a known outcome.
    answers: AtomicU64,
    operations: Mutex<Vec<Operation>>,
    is_over: AtomicBool,
}

/// The sessions that are in use.
struct Places {
    places: Vec<Place>,
    dice: Dice,
}

#[derive(Clone, Copy)]
struct Place {
    session: SessionId,
    /// How many operations may follow.
    left: usize,
    unknown: usize,
    /// Whether a delete was called after which no create may follow.
    is_deleted: bool,
    /// The number of creates that may still take effect. No delete may be called meanwhile.
    creates: usize,
}

impl Place {
    /// Notes that an operation has ended.
    fn note(&mut self, operation: &Operation) {
        match operation.action {
            Action::Load => {}
            _ if operation.is_unknown() => self.unknown += 1,
            Action::Create { .. } => self.creates = self.creates.saturating_sub(1),
            _ => {}
        }
    }
}

impl Places {
    /// Returns the place of a session, unless that was replaced.
    fn find(&mut self, session: SessionId) -> Option<&mut Place> {
        let mut places = self.places.iter_mut();
        places.find(|place| place.session == session)
    }

    fn new_place(&mut self) -> Place {
        let high = u128::from(self.dice.roll()) << 64;
        Place {
            session: SessionId::from(high | u128::from(self.dice.roll())),
            left: MAX_OPERATIONS,
            unknown: 0,
            is_deleted: false,
            creates: 0,
        }
    }
}

impl Recorder {
    fn new(plan: Plan, subjects: Vec<Arc<dyn Subject>>, seed: u64) -> Self {
        let mut places = Places {
            places: Vec::new(),
            dice: Dice::new(seed),
        };
        for _ in 0..plan.sessions {
            let place = places.new_place();
            places.places.push(place);
        }
        Self {
            plan,
            subjects: Mutex::new(subjects),
            places: Mutex::new(places),
            clock: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            operations: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Waits until the clients have got this many more answers.
    ///
    /// # Panics
    ///
    /// If they get none for a minute.
    pub async fn progress(&self, answers: u64) {
        let answered = || self.answers.load(Ordering::SeqCst);
        let (mut last, mut since) = (answered(), Instant::now());
        let enough = last + answers;
        while last < enough {
            assert!(since.elapsed() < PATIENCE, "the clients get no answers");
            tokio::time::sleep(Duration::from_millis(1)).await;
            if answered() > last {
                (last, since) = (answered(), Instant::now());
            }
        }
    }

    /// Lets the clients use these subjects from their next calls on. Returns the time by the
    /// clock of the history.
    pub fn go_on_with(&self, subjects: Vec<Arc<dyn Subject>>) -> u64 {
        *self.subjects.lock() = subjects;
        self.tick()
    }

    /// Returns the time now, which is that of no operation.
    pub fn now(&self) -> u64 {
        self.tick()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Returns a number that no other operation has.
    pub(crate) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Picks one of the sessions for the next operation of a client.
    pub(crate) fn pick(&self, dice: &mut Dice) -> SessionId {
        let mut places = self.places.lock();
        let index = dice.below(places.places.len());
        let place = places.places[index];
        if place.left == 0 || place.unknown >= MAX_UNKNOWN {
            places.places[index] = places.new_place();
        }
        let place = &mut places.places[index];
        place.left -= 1;
        place.session
    }

    /// Returns whether a client may do this now.
    pub(crate) fn allows(&self, session: SessionId, action: Action) -> bool {
        let mut places = self.places.lock();
        match (action, places.find(session)) {
            _ if self.plan.recreates => true,
            (Action::Create { .. }, Some(place)) if !place.is_deleted => {
                place.creates += 1;
                true
            }
            (Action::Delete, Some(place)) if place.creates == 0 => {
                place.is_deleted = true;
                place.left = place.left.min(MAX_OPERATIONS_AFTER_DELETE);
                true
            }
            (Action::Create { .. } | Action::Delete, _) => false,
            _ => true,
        }
    }

    /// Calls the subject of a client, and records the operation.
    pub(crate) async fn call(
        &self,
        client: usize,
        session: SessionId,
        action: Action,
        polls: Option<usize>,
    ) -> Outcome {
        let subject = {
            let subjects = self.subjects.lock();
            subjects[client % subjects.len()].clone()
        };
        let called = self.tick();
        let answer = subject.answer(&session, action);
        let outcome = match polls {
            None => answer.await,
            Some(polls) => polled(answer, polls).await,
        };
        let returned = self.tick();
        self.add(Operation {
            client,
            session,
            called,
            returned,
            action,
            outcome: outcome.clone(),
        });
        outcome
    }

    fn add(&self, operation: Operation) {
        if !operation.is_unknown() {
            self.answers.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(place) = self.places.lock().find(operation.session) {
            place.note(&operation);
        }
        self.operations.lock().push(operation);
    }

    /// Loads all sessions that are in use.
    async fn load_all(&self) {
        let places = self.places.lock().places.clone();
        for place in places {
            self.call(0, place.session, Action::Load, None).await;
        }
    }
}

/// Polls a call this many times at most, and then drops it.
async fn polled(mut call: impl Future<Output = Outcome> + Unpin, polls: usize) -> Outcome {
    let mut count = 0;
    std::future::poll_fn(|context| {
        if count == polls {
            return std::task::Poll::Ready(Outcome::Unknown);
        }
        count += 1;
        std::pin::Pin::new(&mut call).poll(context)
    })
    .await
}
