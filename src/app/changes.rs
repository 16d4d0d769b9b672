//! Notices that the files of a configuration have changed, and when whoever changes them is done.
//!
//! Looking regularly at what the file system says costs microseconds and sees every way of changing a file,
//! on every file system; `docs/adr/0013` weighs it against being told by the kernel.

use crate::config::sources::Sources;

/// The changes of files since a moment.
pub(super) struct Changes {
    since: Sources,
    /// The files as they were at the last look, where they had changed.
    seen: Option<Sources>,
    looks: u32,
}

impl Changes {
    /// Notices whatever changes from here on.
    pub(super) const fn since(since: Sources) -> Self {
        Self {
            since,
            seen: None,
            looks: 0,
        }
    }

    /// Whether there are changes, and none since the last look: a file that is being written is left alone
    /// for a while.
    pub(super) async fn are_over(&mut self) -> bool {
        let since = self.since.clone();
        // A file system that does not answer must hold up nothing but this.
        let Ok(now) = tokio::task::spawn_blocking(move || since.again()).await else {
            return false;
        };
        self.judge(now)
    }

    fn judge(&mut self, now: Sources) -> bool {
        if now == self.since {
            self.seen = None;
            self.looks = 0;
            return false;
        }
        self.looks = self.looks.saturating_add(1);
        let is_quiet = self.seen.as_ref() == Some(&now);
        self.seen = Some(now);
        is_quiet || self.looks > LOOKS_MAX
    }
}

/// Looks after which a file is read that keeps changing.
const LOOKS_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_change_counts_once_it_is_over() {
        let (folder, path) = file();
        let mut sources = Sources::default();
        sources.note(&path);
        let mut changes = Changes::since(sources.clone());
        assert!(!changes.judge(sources.again()));
        std::fs::write(&path, "half").unwrap();
        assert!(!changes.judge(sources.again()), "it may go on");
        std::fs::write(&path, "half and half").unwrap();
        assert!(!changes.judge(sources.again()), "it went on");
        assert!(changes.judge(sources.again()));
        drop(folder);
    }

    #[test]
    fn a_file_that_never_rests_is_read_all_the_same() {
        let (_folder, path) = file();
        let mut sources = Sources::default();
        sources.note(&path);
        let mut changes = Changes::since(sources.clone());
        let looks = (0..100).take_while(|n| {
            std::fs::write(&path, "x".repeat(*n + 1)).unwrap();
            !changes.judge(sources.again())
        });
        assert_eq!(looks.count(), usize::try_from(LOOKS_MAX).unwrap());
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, "").unwrap();
        (folder, path)
    }
}
