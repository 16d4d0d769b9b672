//! Trails that are written, rotated, cut, tampered with, and found so.

use std::error::Error;
use std::path::Path;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::*;
use crate::audit::tail::Tail;
use crate::audit::trail::head_of;
use crate::audit::trail::write_whole;
use crate::audit::verify::End;
use crate::audit::verify::Judge;
use crate::audit::verify::Report;
use crate::audit::verify::VerifyError;
use crate::audit::verify::verify;
use crate::crypto::audit_seal::SealState;
use crate::logbook::chain::LineFault;
use crate::model::time::Timestamp;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

struct Desk {
    folder: tempfile::TempDir,
    parts: AuditParts,
}

impl Desk {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            parts: parts(1),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn trail(&self) -> Trail {
        Trail::new(self.path(), "local".to_owned(), &self.parts)
    }

    fn note(&self, count: usize) {
        for number in 0..count {
            let event = Event::new(EventKind::Denied).with("number", number.to_string());
            self.trail().note(event).unwrap();
        }
    }

    fn verify(&self, paths: &[PathBuf]) -> Result<Report, VerifyError> {
        let judge = Judge {
            keys: Some(&self.parts.keys),
            current: Some(&self.path()),
        };
        verify(paths, &judge)
    }

    fn edit(&self, edit: impl FnOnce(&mut Vec<String>)) {
        let text = std::fs::read_to_string(self.path()).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        edit(&mut lines);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.path(), text).unwrap();
    }
}

fn ring_file(secret: u8) -> serde_json::Value {
    let secret = Zeroizing::new([secret; 32]);
    let file = KeyRing::first_file(&secret, Timestamp::from_millis(0)).unwrap();
    serde_json::from_slice(&file).unwrap()
}

fn ring_of(file: &serde_json::Value) -> Arc<KeyRing> {
    Arc::new(KeyRing::parse(file.to_string().as_bytes()).unwrap())
}

fn keys(secret: u8) -> Arc<KeyRing> {
    ring_of(&ring_file(secret))
}

/// A ring whose second key seals, and whose first one still opens.
fn both_keys() -> Arc<KeyRing> {
    let (first, mut file) = (ring_file(1), ring_file(2));
    let key = first["keys"][0].clone();
    file["keys"].as_array_mut().unwrap().push(key);
    ring_of(&file)
}

fn parts(secret: u8) -> AuditParts {
    AuditParts {
        keys: keys(secret),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
    }
}

fn settings(path: &Path, on_failure: OnAuditFailure) -> AuditFile {
    AuditFile {
        file: path.to_owned(),
        on_failure,
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..200_000 {
        if is_so() {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_micros(100));
    }
    panic!("{what}");
}

/// An error and what is behind it, as it is told.
fn said(error: &VerifyError) -> String {
    let behind = error.source().map(ToString::to_string);
    format!("{error}: {}", behind.unwrap_or_default())
}

#[test]
fn a_trail_that_nobody_touched_is_whole_over_restarts_and_rotations() {
    let desk = Desk::new();
    desk.note(3);
    let older = desk.folder.path().join("audit.jsonl.1");
    std::fs::rename(desk.path(), &older).unwrap();
    desk.note(2);
    let report = desk.verify(&[desk.path(), older]).unwrap();
    let expected = Report {
        lines: 5,
        first: 1,
        last: 5,
        vouched: Some(SealState::Good),
        end: End::Noted,
    };
    assert_eq!(report, expected);
    let report = desk.verify(&[desk.path()]).unwrap();
    assert_eq!((report.first, report.last), (4, 5));
}

#[test]
fn lines_that_are_changed_removed_or_moved_are_found() {
    type Edit = fn(&mut Vec<String>);
    let edits: [(Edit, &str); 4] = [
        (
            |lines| lines[2] = lines[2].replace("denied", "signed_in"),
            "line 3 was changed",
        ),
        (|lines| drop(lines.remove(1)), "lines 2 to 2 are missing"),
        (|lines| lines.swap(1, 2), "lines 2 to 2 are missing"),
        (
            |lines| lines.truncate(3),
            "ends with line 3, and should go on to line 5",
        ),
    ];
    for (edit, expected) in edits {
        let desk = Desk::new();
        desk.note(5);
        desk.edit(edit);
        let error = said(&desk.verify(&[desk.path()]).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_chain_written_anew_without_the_keys_is_found() {
    let desk = Desk::new();
    desk.note(3);
    let other = Desk {
        folder: tempfile::tempdir().unwrap(),
        parts: AuditParts {
            keys: forged_keys(),
            ..parts(1)
        },
    };
    other.note(3);
    std::fs::copy(other.path(), desk.path()).unwrap();
    let error = desk.verify(&[desk.path()]).unwrap_err();
    assert!(
        matches!(
            error,
            VerifyError::Broken {
                line: 1,
                fault: LineFault::Seal(1),
                ..
            }
        ),
        "{error}"
    );
}

/// Another secret under the id of the real key.
fn forged_keys() -> Arc<KeyRing> {
    let (own, mut forged) = (ring_file(1), ring_file(2));
    forged["seal_with"] = own["seal_with"].clone();
    forged["keys"][0]["id"] = own["seal_with"].clone();
    ring_of(&forged)
}

#[test]
fn a_trail_that_was_cut_says_so_when_it_goes_on() {
    let desk = Desk::new();
    desk.note(5);
    desk.edit(|lines| lines.truncate(3));
    desk.note(1);
    let text = std::fs::read_to_string(desk.path()).unwrap();
    let told = text.lines().nth(3).unwrap();
    assert!(
        told.contains("\"event\":\"trail_cut\",\"expected\":\"5\",\"found\":\"3\""),
        "{told}"
    );
    let error = said(&desk.verify(&[desk.path()]).unwrap_err());
    assert!(error.contains("lines 4 to 5 are missing"), "{error}");
}

#[test]
fn a_trail_that_was_removed_or_put_back_with_its_note_says_so_when_it_goes_on() {
    type Tamper = fn(&Desk, &[Vec<u8>; 2]);
    let tampers: [Tamper; 2] = [
        |desk, _| {
            std::fs::remove_file(desk.path()).unwrap();
            std::fs::remove_file(head_of(&desk.path())).unwrap();
        },
        |desk, [lines, note]| {
            std::fs::write(desk.path(), lines).unwrap();
            std::fs::write(head_of(&desk.path()), note).unwrap();
        },
    ];
    for tamper in tampers {
        let desk = Desk::new();
        let trail = desk.trail();
        let note = || trail.note(Event::new(EventKind::Denied)).unwrap();
        note();
        let earlier = [desk.path(), head_of(&desk.path())].map(|path| std::fs::read(path).unwrap());
        note();
        note();
        tamper(&desk, &earlier);
        note();
        let text = std::fs::read_to_string(desk.path()).unwrap();
        assert!(text.contains("\"trail_cut\",\"expected\":\"3\""), "{text}");
        assert!(desk.verify(&[desk.path()]).is_err());
        // Told once; a process that goes on beside it is no cut.
        desk.note(2);
        note();
        let text = std::fs::read_to_string(desk.path()).unwrap();
        assert_eq!(text.matches("trail_cut").count(), 1, "{text}");
    }
}

#[test]
fn a_trail_may_have_the_name_of_a_note() {
    let desk = Desk::new();
    let path = desk.folder.path().join("audit.head");
    let trail = Trail::new(path.clone(), "local".to_owned(), &desk.parts);
    for _ in 0..3 {
        trail.note(Event::new(EventKind::Denied)).unwrap();
    }
    let judge = Judge {
        keys: Some(&desk.parts.keys),
        current: Some(&path),
    };
    assert_eq!(
        verify(std::slice::from_ref(&path), &judge).unwrap().lines,
        3
    );
}

#[test]
fn a_line_that_a_crash_left_unfinished_is_taken_off_and_told() {
    let desk = Desk::new();
    desk.note(2);
    let mut text = std::fs::read_to_string(desk.path()).unwrap();
    text.push_str("{\"seq\":3,\"prev\":\"");
    std::fs::write(desk.path(), text).unwrap();
    desk.note(1);
    let report = desk.verify(&[desk.path()]).unwrap();
    assert_eq!(report.lines, 4);
    let text = std::fs::read_to_string(desk.path()).unwrap();
    assert!(
        text.contains("\"event\":\"trail_repaired\",\"bytes\":\"17\""),
        "{text}"
    );
}

#[test]
fn a_key_that_was_retired_is_no_fault_and_later_lines_vouch_for_it() {
    let mut desk = Desk::new();
    desk.note(2);
    for keys in [both_keys(), keys(2)] {
        desk.parts.keys = keys;
        desk.note(1);
    }
    let report = desk.verify(&[desk.path()]).unwrap();
    assert_eq!((report.lines, report.vouched), (4, Some(SealState::Good)));
}

#[test]
fn a_chain_that_nobody_vouches_for_is_not_sealed_over_in_silence() {
    // Whoever writes a chain with a key that nobody has gets no seal of the gateway behind it.
    let mut desk = Desk::new();
    desk.note(3);
    let own = std::mem::replace(&mut desk.parts.keys, keys(2));
    std::fs::remove_file(desk.path()).unwrap();
    std::fs::remove_file(head_of(&desk.path())).unwrap();
    desk.note(3);
    desk.parts.keys = own;
    let unvouched = desk.verify(&[desk.path()]).unwrap_err().to_string();
    assert!(unvouched.contains("was not sealed"), "{unvouched}");
    desk.note(1);
    let error = desk.verify(&[desk.path()]).unwrap_err();
    assert!(is_broken_by(&error, LineFault::Cut(4)), "{error}");
}

#[test]
fn a_cut_is_told_though_the_note_of_the_end_is_gone_or_scribbled_over() {
    type Scribble = fn(&Path);
    let scribbles: [Scribble; 3] = [
        |note| std::fs::remove_file(note).unwrap(),
        |note| std::fs::write(note, "").unwrap(),
        |note| std::fs::write(note, "{}").unwrap(),
    ];
    for scribble in scribbles {
        let desk = Desk::new();
        desk.note(5);
        desk.edit(|lines| lines.truncate(3));
        scribble(&head_of(&desk.path()));
        assert!(desk.verify(&[desk.path()]).is_err());
        desk.note(1);
        let error = desk.verify(&[desk.path()]).unwrap_err();
        assert!(is_broken_by(&error, LineFault::Cut(4)), "{error}");
    }
}

#[test]
fn a_last_line_that_was_put_in_place_of_another_is_not_built_upon() {
    let (desk, other) = (Desk::new(), Desk::new());
    desk.note(3);
    other.note(3);
    let lines = std::fs::read_to_string(other.path()).unwrap();
    let forged = lines.lines().last().unwrap().to_owned();
    desk.edit(|lines| lines[2] = forged);
    desk.note(1);
    let text = std::fs::read_to_string(desk.path()).unwrap();
    assert!(text.contains("trail_cut"), "{text}");
    let error = desk.verify(&[desk.path()]).unwrap_err();
    assert!(is_broken_by(&error, LineFault::Detached(3)), "{error}");
}

#[test]
fn a_link_in_place_of_the_trail_leads_nowhere() {
    let desk = Desk::new();
    let elsewhere = desk.folder.path().join("elsewhere");
    for link in [head_of(&desk.path()), desk.path()] {
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        let noted = desk.trail().note(Event::new(EventKind::Started));
        assert!(noted.is_err());
        assert!(!elsewhere.exists());
        std::fs::remove_file(link).unwrap();
    }
}

#[test]
fn a_trail_is_verified_while_it_is_written_and_by_any_name() {
    let desk = Desk::new();
    desk.note(1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| desk.note(200));
        while !writer.is_finished() {
            let report = desk.verify(&[desk.path()]).unwrap();
            assert_eq!(report.end, End::Noted);
        }
    });
    let other_name = desk.folder.path().join(".").join("..");
    let other_name = other_name
        .join(desk.folder.path().file_name().unwrap())
        .join("audit.jsonl");
    assert_eq!(desk.verify(&[other_name]).unwrap().end, End::Noted);
}

#[test]
fn a_copy_is_verified_by_the_note_beside_it() {
    let desk = Desk::new();
    desk.note(3);
    let older = desk.folder.path().join("audit.jsonl.1");
    std::fs::rename(desk.path(), &older).unwrap();
    desk.note(2);
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.jsonl");
    let copied = || {
        std::fs::copy(desk.path(), &copy).unwrap();
        desk.verify(&[copy.clone(), older.clone()])
    };
    assert_eq!(copied().unwrap().end, End::Unknown);
    std::fs::copy(head_of(&desk.path()), head_of(&copy)).unwrap();
    assert_eq!(copied().unwrap().end, End::Noted);
    let whole = std::fs::read_to_string(&copy).unwrap();
    let first = whole.lines().next().unwrap();
    for (left, last) in [(format!("{first}\n"), 4), (String::new(), 3)] {
        std::fs::write(&copy, left).unwrap();
        let error = desk.verify(&[older.clone(), copy.clone()]).unwrap_err();
        let VerifyError::Cut { expected, found } = error else {
            panic!("{error}");
        };
        assert_eq!((expected, found), (5, last));
    }
    std::fs::write(head_of(&copy), "{}").unwrap();
    let error = copied().unwrap_err();
    assert!(matches!(error, VerifyError::Forged(_)), "{error}");
}

#[test]
fn a_trail_that_was_emptied_or_removed_is_found_and_one_that_was_moved_away_is_whole() {
    let desk = Desk::new();
    desk.note(3);
    let older = desk.folder.path().join("audit.jsonl.1");
    std::fs::rename(desk.path(), &older).unwrap();
    for empty in [false, true] {
        if empty {
            std::fs::write(desk.path(), "").unwrap();
        }
        let error = desk.verify(&[desk.path()]).unwrap_err();
        assert!(matches!(error, VerifyError::Emptied(3)), "{error}");
        let report = desk.verify(&[desk.path(), older.clone()]).unwrap();
        assert_eq!((report.lines, report.end), (3, End::Noted));
    }
    let fresh = Desk::new();
    let error = fresh.verify(&[fresh.path()]).unwrap_err();
    assert!(matches!(error, VerifyError::Nothing), "{error}");
}

#[test]
fn what_waited_for_a_disk_is_written_at_the_end() {
    let desk = Desk::new();
    let folder = desk.folder.path().join("later");
    let path = folder.join("audit.jsonl");
    let settings = settings(&path, OnAuditFailure::Continue);
    let writer = AuditWriter::open(Some(&settings), &desk.parts, "local").unwrap();
    writer.note(Event::new(EventKind::Started));
    until("it fails", || writer.counts().is_failing);
    for _ in 0..3 {
        writer.note(Event::new(EventKind::SignedIn));
    }
    std::fs::create_dir(&folder).unwrap();
    writer.finish();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert_eq!((writer.counts().written, writer.counts().lost), (4, 0));
}

#[test]
fn what_could_never_be_written_is_counted_as_lost() {
    let desk = Desk::new();
    let path = desk.folder.path().join("nowhere/audit.jsonl");
    let settings = settings(&path, OnAuditFailure::Continue);
    let writer = AuditWriter::open(Some(&settings), &desk.parts, "local").unwrap();
    for _ in 0..3 {
        writer.note(Event::new(EventKind::SignedIn));
    }
    writer.finish();
    assert_eq!((writer.counts().written, writer.counts().lost), (0, 3));
}

fn is_broken_by(error: &VerifyError, expected: LineFault) -> bool {
    matches!(error, VerifyError::Broken { fault, .. } if *fault == expected)
}

#[test]
fn what_is_noted_in_the_background_is_in_the_trail_when_it_is_closed() {
    let desk = Desk::new();
    let settings = settings(&desk.path(), OnAuditFailure::Continue);
    let writer = AuditWriter::open(Some(&settings), &desk.parts, "local").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let note = || writer.note(Event::new(EventKind::SignedIn));
            scope.spawn(move || (0..250).for_each(|_| note()));
        }
    });
    writer.finish();
    let counts = writer.counts();
    assert_eq!(
        (counts.written, counts.lost, counts.sequence),
        (1000, 0, 1000)
    );
    assert!(counts.events.contains(&("signed_in", 1000)));
    assert_eq!(desk.verify(&[desk.path()]).unwrap().lines, 1000);
}

#[test]
fn two_processes_write_one_chain() {
    let desk = Desk::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| desk.note(20));
        }
    });
    assert_eq!(desk.verify(&[desk.path()]).unwrap().lines, 80);
}

#[test]
fn nobody_signs_in_while_the_trail_cannot_be_written_if_the_operator_wants_that() {
    for (on_failure, standing) in [
        (OnAuditFailure::Refuse, TrailStanding::SignNobodyIn),
        (OnAuditFailure::Continue, TrailStanding::GoOn),
    ] {
        let desk = Desk::new();
        let folder = desk.folder.path().join("later");
        let path = folder.join("audit.jsonl");
        let settings = settings(&path, on_failure);
        let writer = AuditWriter::open(Some(&settings), &desk.parts, "local").unwrap();
        assert_eq!(writer.standing(), TrailStanding::GoOn);
        writer.note(Event::new(EventKind::Started));
        until("it fails", || writer.counts().is_failing);
        assert_eq!(writer.standing(), standing);
        std::fs::create_dir(&folder).unwrap();
        until("it is written", || writer.counts().written == 1);
        until("it is well", || !writer.counts().is_failing);
        assert_eq!(writer.standing(), TrailStanding::GoOn);
    }
}

#[test]
fn a_full_disk_is_a_failure_of_the_write() {
    let mut full = std::fs::OpenOptions::new();
    let mut full = full.append(true).open("/dev/full").unwrap();
    let tail = Tail {
        last: None,
        whole_bytes: 0,
        torn_bytes: 0,
    };
    let error = write_whole(&mut full, b"a line\n", &tail).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn without_a_file_events_are_counted_all_the_same() {
    let desk = Desk::new();
    let writer = AuditWriter::open(None, &desk.parts, "local").unwrap();
    writer.note(Event::new(EventKind::CookieNotOpened));
    assert!(writer.counts().events.contains(&("cookie_not_opened", 1)));
    writer.finish();
}
