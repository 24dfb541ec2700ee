//! Writing into the session manager component.

use crate::PolicyError;
use crate::place::{MARKER, ROOM};

/// Returns a copy of the session manager component with these bytes in its place for a
/// policy.
///
/// # Errors
///
/// [`PolicyError::NoPlace`] if the component does not have exactly one such place,
/// [`PolicyError::TooLong`] if the bytes do not fit.
pub fn write(manager: &[u8], bytes: &[u8]) -> Result<Vec<u8>, PolicyError> {
    let windows = manager.windows(MARKER.len()).enumerate();
    let mut markers = windows.filter(|(_, window)| window == MARKER);
    let (Some((marker, _)), None) = (markers.next(), markers.next()) else {
        return Err(PolicyError::NoPlace);
    };
    let mut manager = manager.to_vec();
    let place = manager
        .get_mut(marker + MARKER.len()..)
        .and_then(|rest| rest.get_mut(..ROOM))
        .ok_or(PolicyError::NoPlace)?;
    let place = place.get_mut(..bytes.len()).ok_or(PolicyError::TooLong)?;
    place.copy_from_slice(bytes);
    Ok(manager)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::VERSION;

    #[test]
    fn only_a_manager_takes_it_and_only_what_has_room() {
        let manager = [&b"before"[..], MARKER, &[0; ROOM], b"after"].concat();
        let twice = [&manager[..], &manager].concat();
        let cut = [&b"before"[..], MARKER, &[0; ROOM - 1]].concat();
        for component in [&b""[..], b"nonsense", MARKER, &twice, &cut] {
            assert_eq!(write(component, &[VERSION]), Err(PolicyError::NoPlace));
        }
        let written = write(&manager, &[VERSION; ROOM]).expect("it fits");
        let expected = [&b"before"[..], MARKER, &[VERSION; ROOM], b"after"].concat();
        assert_eq!(written, expected);
        let too_long = write(&manager, &[VERSION; ROOM + 1]);
        assert_eq!(too_long, Err(PolicyError::TooLong));
    }
}
