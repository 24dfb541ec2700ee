//! What the indexes have and lack: the lists of IDs, and the index by user.

use futures_util::future::try_join_all;
use session3_store::{SessionId, StoreError};

use crate::keys::Tag;
use crate::scripts::{Argument, MISSING, SURPLUS, ServerScript};
use crate::server::{Body, Effect, Server};
use crate::{outcome, record, walk};

/// The indexes, and whether to correct them.
pub(crate) struct Indexes<'a> {
    pub(crate) server: &'a Server,
    pub(crate) repair: bool,
}

/// A question to a script about the indexes, which also corrects them on demand.
struct Question<'a> {
    script: &'static ServerScript,
    digits: u8,
    keys: &'a [String],
    arguments: &'a [&'a [u8]],
}

impl Indexes<'_> {
    /// Returns those of some sessions that an index lacks.
    pub(crate) async fn missing(&self, ids: &[SessionId]) -> Result<Vec<SessionId>, StoreError> {
        let questions = ids.iter().map(async |id| {
            let keys = self.server.keys.of_record(id);
            let text = id.to_string();
            let question = Question {
                script: &MISSING,
                digits: id.prefix(),
                keys: &keys,
                arguments: &[text.as_bytes()],
            };
            match self.ask(question).await {
                Ok(is_missing) => Ok(is_missing.then_some(*id)),
                // The index has another type, which the check of the index reports.
                Err(error) if record::is_of_another_type(&error) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let missing = try_join_all(questions).await?;
        Ok(missing.into_iter().flatten().collect())
    }

    /// Returns those of some entries of the index by user that no session needs.
    pub(crate) async fn surplus<'a>(
        &self,
        digits: u8,
        key: &str,
        members: &'a [Vec<u8>],
    ) -> Result<Vec<&'a Vec<u8>>, StoreError> {
        let questions = members.iter().map(async |member| {
            let is_surplus = self.is_surplus(digits, key, member).await?;
            Ok(is_surplus.then_some(member))
        });
        let surplus = try_join_all(questions).await?;
        Ok(surplus.into_iter().flatten().collect())
    }

    async fn is_surplus(&self, digits: u8, key: &str, member: &[u8]) -> Result<bool, StoreError> {
        let entry = parse_entry(member).filter(|(_, id)| id.prefix() == digits);
        let (hash, session) = match &entry {
            Some((hash, id)) => (*hash, self.server.keys.session(id)),
            None => (&[][..], key.to_owned()),
        };
        self.ask(Question {
            script: &SURPLUS,
            digits,
            keys: &[session, key.to_owned()],
            arguments: &[member, hash],
        })
        .await
    }

    /// Returns whether an index is wrong, and corrects it if this is a repair.
    async fn ask(&self, question: Question<'_>) -> Result<bool, StoreError> {
        let is_wrong = self.run(&question, false).await?;
        match is_wrong && self.repair {
            true => self.run(&question, true).await,
            false => Ok(is_wrong),
        }
    }

    async fn run(&self, question: &Question<'_>, repair: bool) -> Result<bool, StoreError> {
        let (effect, flag): (_, &[u8]) = match repair {
            true => (Effect::Repeatable, b"1"),
            false => (Effect::Read, b"0"),
        };
        let mut arguments: Vec<Argument<'_>> = vec![flag.into()];
        arguments.extend(question.arguments.iter().map(|&argument| argument.into()));
        let body = Body::Script(question.script, question.keys, &arguments);
        let tag = Tag::Sessions(question.digits);
        let outcome = outcome::of(self.server.call(tag, effect, &body).await?)?;
        // An earlier attempt whose answer was lost may have corrected the index.
        let is_repeated = repair && outcome.is_repeated;
        let [is_wrong] = outcome.numbers()?;
        Ok(is_wrong == 1 || is_repeated)
    }
}

/// Returns the SHA-256 of the user and the ID in an entry of the index by user.
pub(crate) fn parse_entry(member: &[u8]) -> Option<(&[u8], SessionId)> {
    let (hash, id) = member.split_at_checked(32)?;
    Some((hash, walk::id(id)?))
}
