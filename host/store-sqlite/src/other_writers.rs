//! Who else may write a database of sessions.

use rustix::fs::Stat;
use rustix::process::geteuid;

/// Returns who may write a file or its directory besides the user of this process and root, as
/// an advice each. For root, the owner is none of them: an operator opens the store of a server.
pub fn other_writers(file: &Stat, directory: &Stat) -> Vec<String> {
    let user = geteuid().as_raw();
    let of_file = writers(user, file.st_uid, file.st_gid, file.st_mode);
    let of_directory = writers(user, directory.st_uid, directory.st_gid, directory.st_mode);
    let mut advice: Vec<_> = of_file.iter().map(|writer| writer.of("it")).collect();
    advice.extend(of_directory.iter().map(|writer| writer.of("its directory")));
    advice
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Owner(u32),
    Group(u32),
    Everyone,
}

impl Writer {
    fn of(self, what: &str) -> String {
        match self {
            Self::Owner(user) => format!(
                "{what} belongs to user {user}, who can forge sessions: give it to the user of \
                 the server (chown)"
            ),
            Self::Group(group) => format!(
                "{what} may be written by group {group}, which can forge sessions: take that \
                 away (chmod g-w)"
            ),
            Self::Everyone => format!(
                "{what} may be written by every user, who can forge sessions: take that away \
                 (chmod o-w)"
            ),
        }
    }
}

fn writers(user: u32, owner: u32, group: u32, mode: u32) -> Vec<Writer> {
    /// In such a directory, a user may replace only what is the user's own.
    const STICKY: u32 = 0o1000;
    let is_safe_owner = user == 0 || [0, user].contains(&owner);
    let is_shared = mode & STICKY == 0;
    let owner = (!is_safe_owner).then_some(Writer::Owner(owner));
    let group = (is_shared && mode & 0o020 != 0 && group != 0).then_some(Writer::Group(group));
    let everyone = (is_shared && mode & 0o002 != 0).then_some(Writer::Everyone);
    owner.into_iter().chain(group).chain(everyone).collect()
}

#[cfg(test)]
mod tests {
    use super::Writer::{Everyone, Group, Owner};
    use super::*;

    #[test]
    fn the_user_of_the_process_and_root_are_no_others() {
        assert_eq!(writers(33, 33, 33, 0o600), []);
        assert_eq!(writers(33, 33, 33, 0o755), []);
        assert_eq!(writers(33, 0, 0, 0o770), []);
        assert_eq!(writers(33, 1000, 33, 0o600), [Owner(1000)]);
        assert_eq!(writers(33, 33, 44, 0o660), [Group(44)]);
        assert_eq!(writers(33, 33, 33, 0o602), [Everyone]);
        assert_eq!(writers(33, 0, 0, 0o1777), []);
        assert_eq!(writers(0, 33, 33, 0o666), [Group(33), Everyone]);
    }
}
