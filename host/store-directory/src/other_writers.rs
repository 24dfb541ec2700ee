//! Who else may write into a directory of sessions.

use std::fmt;

use rustix::process::geteuid;

use crate::fs::Ownership;

/// Someone other than the user of this process and root who may write into a directory of
/// sessions. They can end, replace and forge sessions.
///
/// The text is an advice for the operator, without a name of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherWriter {
    /// The directory belongs to the user with this number.
    Owner(u32),
    /// The directory may be written by the group with this number.
    Group(u32),
    /// The directory may be written by every user.
    Everyone,
}

impl fmt::Display for OtherWriter {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(user) => write!(
                to,
                "it belongs to user {user}, who can forge sessions: give it to the user of the \
                 server (chown)"
            ),
            Self::Group(group) => write!(
                to,
                "group {group} may write into it and can forge sessions: take that away \
                 (chmod g-w)"
            ),
            Self::Everyone => write!(
                to,
                "every user may write into it and can forge sessions: take that away (chmod o-w)"
            ),
        }
    }
}

/// Returns who else may write into a directory.
pub fn other_writers(directory: Ownership) -> Vec<OtherWriter> {
    writers_beside(geteuid().as_raw(), directory)
}

/// Returns who may write into a directory beside this user and root. For root, the owner of
/// a directory is the user of the server, whose store an operator opens.
fn writers_beside(user: u32, directory: Ownership) -> Vec<OtherWriter> {
    let Ownership {
        user: owner,
        group,
        mode,
    } = directory;
    let is_safe_owner = user == 0 || [0, user].contains(&owner);
    let owner = (!is_safe_owner).then_some(OtherWriter::Owner(owner));
    let group = (mode & 0o020 != 0 && group != 0).then_some(OtherWriter::Group(group));
    let everyone = (mode & 0o002 != 0).then_some(OtherWriter::Everyone);
    owner.into_iter().chain(group).chain(everyone).collect()
}

#[cfg(test)]
mod tests {
    use super::OtherWriter::{Everyone, Group, Owner};
    use super::*;

    #[test]
    fn the_user_of_the_process_and_root_are_no_others() {
        let writers = |user, owner, group, mode| {
            let directory = Ownership {
                user: owner,
                group,
                mode,
            };
            writers_beside(user, directory)
        };
        assert_eq!(writers(33, 33, 33, 0o700), []);
        assert_eq!(writers(33, 33, 33, 0o755), []);
        assert_eq!(writers(33, 0, 0, 0o770), []);
        assert_eq!(writers(33, 1000, 33, 0o700), [Owner(1000)]);
        assert_eq!(writers(33, 33, 44, 0o2770), [Group(44)]);
        assert_eq!(writers(33, 33, 33, 0o707), [Everyone]);
        assert_eq!(
            writers(33, 1000, 44, 0o1777),
            [Owner(1000), Group(44), Everyone]
        );
        // An operator opens the store of a server.
        assert_eq!(writers(0, 33, 33, 0o700), []);
        assert_eq!(writers(0, 33, 33, 0o777), [Group(33), Everyone]);
    }
}
