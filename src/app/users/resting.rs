//! When whoever writes the users file is done: it is not read in the middle of being written, because a user
//! who is not in it yet would be signed out for good.

use crate::config::sources::Stamp;

/// How long the file has stayed as it is, in looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resting {
    seen: Option<Stamp>,
    /// Looks in a row that found it as it is, after the first.
    looks: u32,
    /// Looks in a row that found it other than the users of now, whatever it was.
    unrest: u32,
}

impl Resting {
    /// After a look that found this version, which is another one than that of the users of now.
    pub(super) fn after(self, version: Stamp) -> Self {
        Self {
            looks: if self.seen == Some(version) {
                self.looks.saturating_add(1)
            } else {
                0
            },
            seen: Some(version),
            unrest: self.unrest.saturating_add(1),
        }
    }

    /// Whether nobody writes any more, as far as can be told. A file that was put in the place of another is
    /// whole; one that is written in place may be in the middle of it for longer.
    pub(super) fn is_over(&self, before: Option<Stamp>) -> bool {
        let in_place = match (before, self.seen) {
            (Some(before), Some(seen)) => seen.is_same_file(&before),
            (_, None) | (None, _) => true,
        };
        self.looks >= if in_place { LOOKS_IN_PLACE } else { LOOKS }
    }

    /// Whether it has not come to rest for so long that it is told, exactly now.
    pub(super) const fn is_to_be_told(&self) -> bool {
        self.unrest == UNREST_TOLD
    }
}

const LOOKS: u32 = 1;
const LOOKS_IN_PLACE: u32 = 3;
const UNREST_TOLD: u32 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_in_place_has_to_rest_for_longer_than_one_that_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("users"), "a").unwrap();
        let before = Stamp::of(&at("users"));
        std::fs::write(at("users"), "half").unwrap();
        let half = Stamp::of(&at("users")).unwrap();
        std::fs::write(at("new"), "a and b").unwrap();
        std::fs::rename(at("new"), at("users")).unwrap();
        let other = Stamp::of(&at("users")).unwrap();
        let over = |versions: &[Stamp]| {
            let resting = versions.iter();
            let resting = resting.fold(Resting::default(), |resting, at| resting.after(*at));
            resting.is_over(before)
        };
        assert!(!over(&[half]) && !over(&[half, half, half]));
        assert!(over(&[half, half, half, half]));
        assert!(!over(&[half, half, half, other]));
        assert!(over(&[half, other, other]));
    }

    #[test]
    fn a_file_that_never_rests_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let mut resting = Resting::default();
        let told = (1..200).filter(|n| {
            std::fs::write(&path, "x".repeat(*n)).unwrap();
            resting = resting.after(Stamp::of(&path).unwrap());
            assert!(!resting.is_over(None));
            resting.is_to_be_told()
        });
        assert_eq!(told.count(), 1);
    }
}
