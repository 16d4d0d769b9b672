//! A small disk of its own for a gateway, which can be filled up.
//!
//! It is mounted in a namespace of its own that ends with the test, however that ends, so nothing is left
//! behind. Where that is not allowed, the gateway is kept from writing instead, which is said; with `CI=true`
//! the test fails.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::parts;

/// A file system that goes when it is dropped.
pub(crate) struct Disk {
    path: PathBuf,
    holder: Child,
    _folder: TempDir,
}

impl Disk {
    /// Mounts one, as this user or else in a user namespace; `None` where neither is allowed.
    pub(crate) fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
        let holder = ways.iter().find_map(|way| hold(way, folder.path()));
        let Some(holder) = holder else {
            parts::not_allowed(
                "a tmpfs, which takes root or user namespaces; instead of a full disk, writing is forbidden",
            );
            return None;
        };
        let inside = folder.path().strip_prefix("/").unwrap();
        let root = Path::new("/proc")
            .join(holder.id().to_string())
            .join("root");
        Some(Self {
            path: root.join(inside),
            holder,
            _folder: folder,
        })
    }

    /// Where it is mounted, for everybody.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no room at all.
    pub(crate) fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        for size in [1 << 20, 64 << 10, 4 << 10, 1] {
            let piece = vec![0; size];
            while filler.write_all(&piece).is_ok() {}
        }
    }

    /// Gives the room back.
    pub(crate) fn clear(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

/// Starts what holds the namespace: it waits for the end of its input, which comes with the end of the test.
fn hold(way: &[&str], folder: &Path) -> Option<Child> {
    let mut holder = Command::new("unshare")
        .args(way)
        .args(["sh", "-c", HOLD, "sh"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut said = String::new();
    let output = holder.stdout.take()?;
    BufReader::new(output).read_line(&mut said).ok()?;
    if said.trim() == "mounted" {
        return Some(holder);
    }
    holder.wait().ok();
    None
}

const HOLD: &str =
    "mount -t tmpfs -o size=24m,mode=0700 portway-faults \"$1\" && echo mounted && read -r _";
