//! Malformed Cookie headers and form tokens cause no panic and no error, and open nothing.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::App;
use crate::bindings::exports::session3::sessions::manager::{Mode, Request};

const SEED: [u8; 32] = *b"1,000,000 malformed Cookie heads";
const COUNT: u32 = 1_000_000;
/// The parts of cookies, and bytes that might confuse a parser.
const PIECES: [&[u8]; 16] = [
    b"__Host-session=",
    b"__Host-session",
    b"=",
    b";",
    b"; ",
    b"\"",
    b".",
    b"%2e",
    b"../",
    b"\0",
    b"\r\n",
    b"\xff\xfe",
    "é".as_bytes(),
    b"0123456789abcdef0123456789abcdef",
    b"AAAAAAAAAAAAAAAAAAAAAA",
    b"__HOST-SESSION=",
];

struct Random(TestRng);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u32() as usize % bound
    }

    fn byte(&mut self) -> u8 {
        self.0.next_u32().to_le_bytes()[0]
    }

    /// Returns the good header with a few bytes changed, so that it is malformed.
    fn mutated(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        while bytes == good {
            // The name mostly stays, since the manager ignores cookies of other names.
            let start = "__Host-session=".len() * usize::from(self.below(8) > 0);
            for _ in 0..=self.below(3) {
                let place = start + self.below(bytes.len().saturating_sub(start).max(1));
                match self.below(4) {
                    _ if place >= bytes.len() => bytes.push(self.byte()),
                    0 => bytes[place] ^= 1 << self.below(8),
                    1 => bytes[place] = self.byte(),
                    2 => drop(bytes.remove(place)),
                    _ => bytes.insert(place, self.byte()),
                }
            }
        }
        bytes
    }

    /// Returns a header that is a random sequence of pieces and of parts of the good header.
    fn pieced_together(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(8) {
            match self.below(18) {
                16 => {
                    let start = self.below(good.len());
                    let end = start + self.below(good.len() - start);
                    bytes.extend(&good[start..end]);
                }
                17 => bytes.push(self.byte()),
                piece => bytes.extend(PIECES[piece]),
            }
        }
        bytes
    }
}

/// Returns whether a header still contains the token: white space and quotes around it, or
/// a semicolon after it, do not change it.
fn is_the_good_one(header: &[u8], token: &[u8]) -> bool {
    header.windows(token.len()).any(|window| window == token)
}

#[test]
fn a_million_random_and_mutated_cookies_open_nothing() {
    println!("seed {SEED:?}");
    let mut app = App::new();
    app.log_in("alice");
    let good = app.cookie.clone().into_bytes();
    let token = &good["__Host-session=".len()..];
    let before = app.fake.sessions.borrow().clone();
    let writes = app.fake.writes.get();
    let mut random = Random(TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let mut looked_at = 0;
    for index in 0..COUNT {
        let header = if index % 2 == 0 {
            random.mutated(&good)
        } else {
            random.pieced_together(&good)
        };
        if is_the_good_one(&header, token) {
            continue;
        }
        let request = Request {
            cookies: vec![header],
            remote_address: None,
            user_agent: None,
        };
        let mode = [Mode::Merge, Mode::Exclusive][usize::from(index % 4 == 0)];
        let session = app.manager.get_session(&request, mode, &*app.fake);
        let mut session = session.unwrap_or_else(|error| panic!("{request:?}: {error:?}"));
        assert!(session.is_new(), "{request:?}");
        assert_eq!(session.commit(&*app.fake), Ok(vec![]), "{request:?}");
        looked_at += app.fake.take_events().len();
    }
    assert!(
        looked_at > 500_000,
        "too few had the name of the cookie: {looked_at}"
    );
    assert_eq!(app.fake.writes.get(), writes);
    assert!(before == *app.fake.sessions.borrow());
    assert!(app.is_logged_in());
}

#[test]
fn a_hundred_thousand_random_and_mutated_form_tokens_are_no_good() {
    println!("seed {SEED:?}");
    let mut app = App::new();
    let fake = app.fake.clone();
    let good = app.request(|s| s.create_form_token(&*fake).expect("a token"));
    let mut session = app.open();
    let writes = app.fake.writes.get();
    let mut random = Random(TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    for _ in 0..100_000 {
        let bytes = random.mutated(good.as_bytes());
        let text = String::from_utf8_lossy(&bytes);
        assert!(text == good || !session.has_form_token(&text), "{text}");
        if text != good {
            assert_eq!(session.remove_form_token(&text, &*app.fake), Ok(false));
        }
    }
    assert_eq!(app.fake.writes.get(), writes);
    assert!(app.open().has_form_token(&good));
}
