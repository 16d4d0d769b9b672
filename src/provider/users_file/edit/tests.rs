//! Changes as they come out in the text.

use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::provider::users_file::tests::HASH;

const OTHER: &str = "$argon2id$v=19$m=19456,t=2,p=1$b3RoZXJzYWx0b3RoZXI$aGFzaGhhc2hoYXNoaGFzaA";

#[test]
fn adding_keeps_what_stands_and_its_comments() {
    let before = format!(
        "# head\nusers:\n    # first\n    - name: alice   # why\n      password: '{HASH}'\n\n    # end\n"
    );
    let (path, _folder) = file(&before);
    add(&path, &new_user("bob")).unwrap();
    let after = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        after,
        format!(
            "{before}    - name: \"bob\"\n      display_name: \"Bob: \\\"the\\\" builder\"\n      \
             groups: [\"staff\", \"on\"]\n      password: \"{OTHER}\"\n"
        )
    );
    assert_eq!(document::load(&path).unwrap().len(), 2);
}

#[test]
fn adding_makes_the_file_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.yaml");
    add(&path, &new_user("bob")).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let bob = document::load(&path).unwrap().remove(0);
    assert_eq!(bob.display_name.as_deref(), Some("Bob: \"the\" builder"));
    assert_eq!(bob.groups.len(), 2);
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".new"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_name_that_differs_in_case_only_is_taken() {
    let (path, _folder) = file(&format!("users:\n- {{name: BOB, password: '{HASH}'}}\n"));
    assert!(matches!(
        add(&path, &new_user("bob")),
        Err(EditUsersError::Exists(_))
    ));
}

#[test]
fn a_new_password_changes_one_value() {
    let text = |hash: &str| {
        format!(
            "users:\n  - name: alice # she\n    password: {hash}   # set in May\n    groups: [a]\n"
        )
    };
    let (path, _folder) = file(&text(HASH));
    assert_eq!(
        set_password(&path, " ALICE", &lasting(OTHER)).unwrap(),
        "alice"
    );
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        text(&format!("\"{OTHER}\""))
    );
}

#[test]
fn that_a_password_must_be_changed_comes_and_goes_with_it() {
    let before = format!("users:\n  - name: alice # she\n    password: {HASH}\n    groups: [a]\n");
    let (path, _folder) = file(&before);
    let once = NewPassword {
        hash: OTHER,
        age: PasswordAge::MustChange,
        signed_out_before: None,
    };
    set_password(&path, "alice", &once).unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        format!(
            "users:\n  - name: alice # she\n    password: \"{OTHER}\"\n    must_change: true\n    \
             groups: [a]\n"
        )
    );
    let alice = document::load(&path).unwrap().remove(0);
    assert_eq!(alice.age, PasswordAge::MustChange);
    set_password(&path, "alice", &lasting(HASH)).unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        before.replace(HASH, &format!("\"{HASH}\""))
    );
}

#[test]
fn a_moment_before_which_sessions_are_over_comes_with_the_password_and_stays() {
    let block =
        format!("users:\n  # she\n  - name: alice\n    password: {HASH}\n    groups: [a]\n");
    let flow =
        format!("users:\n  # she\n  - {{ name: alice, password: '{HASH}', groups: [a] }} # a\n");
    for (before, value, between) in [
        (&block, HASH.to_owned(), "\n    "),
        (&flow, format!("'{HASH}'"), ", "),
    ] {
        let (path, _folder) = file(before);
        let read = || std::fs::read_to_string(&path).unwrap();
        let mut reset = lasting(OTHER);
        for moment in ["2026-11-22T14:05:06Z", "2026-11-23T14:05:06.123Z"] {
            reset.signed_out_before = Some(moment.to_owned());
            set_password(&path, "alice", &reset).unwrap();
            let now = format!("\"{OTHER}\"{between}signed_out_before: \"{moment}\"");
            assert_eq!(read(), before.replace(&value, &now));
        }
        let at = document::load(&path).unwrap().remove(0).signed_out_before;
        assert_eq!(at.unwrap().as_millis() % 1000, 123);
        set_password(&path, "alice", &lasting(HASH)).unwrap();
        assert_eq!(
            document::load(&path).unwrap().remove(0).signed_out_before,
            at
        );
    }
}

#[test]
fn several_passwords_change_in_one_write_and_one_that_was_changed_meanwhile_does_not() {
    let text = |hashes: [&str; 4], must_change: &str| {
        let [al, bob, cy, dee] = hashes;
        format!(
            "# head\nusers:\n  - name: al # he\n    password: {al}   # in May\n{must_change}    groups: [a]\n  \
             # of bob\n  - {{name: bob, password: {bob}}} # flow\n  - name: cy\n    password: {cy}\n  \
             - name: dee\n    password: {dee}\n"
        )
    };
    let old = format!("\"{HASH}\"");
    let (path, _folder) = file(&text([old.as_str(); 4], "    must_change: true\n"));
    let change = |user: &str, known: &str, hash: &str| PasswordChange {
        user: UserName::parse(user).unwrap(),
        known: Arc::new(PasswordHash::parse(known).unwrap()),
        hash: hash.to_owned(),
    };
    let outcomes = change_passwords(
        &path,
        &[
            change("dee", HASH, OTHER),
            change("cy", OTHER, HASH),
            change("al", HASH, OTHER),
            change("al", HASH, HASH),
            change("nobody", HASH, OTHER),
            change("bob", HASH, OTHER),
        ],
    );
    let (yes, no) = (Changed::Written, Changed::Outdated);
    assert_eq!(outcomes.unwrap(), [yes, no, yes, no, no, yes]);
    let new = format!("\"{OTHER}\"");
    let (old, new) = (old.as_str(), new.as_str());
    let after = std::fs::read_to_string(&path).unwrap();
    assert_eq!(after, text([new, new, old, new], ""));
    // Where nothing is to be changed, nothing is written.
    let before = std::fs::metadata(&path).unwrap().ino();
    let again = change_passwords(&path, &[change("al", HASH, HASH)]);
    assert_eq!(again.unwrap(), [no]);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
}

#[test]
fn several_users_are_added_at_once_or_none() {
    let (path, _folder) = file(&format!("users:\n  - {{name: BOB, password: '{HASH}'}}\n"));
    let news = [new_user("al"), new_user("bob"), new_user("cy")];
    let refused = add_all(&path, &news, Existing::Refuse);
    assert!(matches!(refused, Err(EditUsersError::Exists(name)) if name == "bob"));
    assert_eq!(document::load(&path).unwrap().len(), 1);
    assert_eq!(add_all(&path, &news, Existing::Keep).unwrap(), 2);
    let names: Vec<_> = document::load(&path).unwrap();
    let names: Vec<_> = names.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["BOB", "al", "cy"]);
    assert!(
        std::fs::read_to_string(&path).unwrap().contains(HASH),
        "bob's own"
    );
}

#[test]
fn a_file_of_htpasswd_is_left_to_htpasswd() {
    let text = "alice:$2y$04$......................................................\n";
    let (path, _folder) = file(text);
    for outcome in [
        add(&path, &new_user("bob")),
        set_password(&path, "alice", &lasting(OTHER)).map(drop),
        remove(&path, "alice").map(drop),
    ] {
        assert!(
            matches!(outcome, Err(EditUsersError::Foreign)),
            "{outcome:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_password_shared_by_an_anchor_changes_for_one_user_only() {
    let (path, _folder) = file(&format!(
        "# head\nusers:\n  - {{name: a, password: &p '{HASH}'}}\n  - {{name: b, password: *p}}\n"
    ));
    set_password(&path, "b", &lasting(OTHER)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# head\nusers:\n"), "{text}");
    assert_eq!(
        (text.matches(HASH).count(), text.matches(OTHER).count()),
        (1, 1),
        "{text}"
    );
}

#[test]
fn removing_takes_one_entry_and_leaves_the_comments_of_the_next() {
    let entry =
        |name: &str| format!("  - name: {name}\n    groups:\n      - x\n    password: {HASH}\n");
    let (path, _folder) = file(&format!(
        "users:\n{}\n  # of bob\n{}{}",
        entry("al"),
        entry("bob"),
        entry("cy")
    ));
    assert_eq!(remove(&path, "AL").unwrap(), "al");
    remove(&path, "cy").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("users:\n\n  # of bob\n{}", entry("bob")));
    remove(&path, "bob").unwrap();
    assert!(document::load(&path).unwrap().is_empty());
    assert!(matches!(
        remove(&path, "bob"),
        Err(EditUsersError::Unknown(_))
    ));
}

#[test]
fn a_list_in_flow_style_or_with_lone_dashes_is_written_anew() {
    for text in [
        format!(
            "users: [{{name: a, password: '{HASH}'}}, {{name: b, password: '{HASH}', disabled: true}}]"
        ),
        format!(
            "users:\n-\n  name: a\n  password: {HASH}\n-\n  disabled: true\n  name: b\n  password: {HASH}\n"
        ),
    ] {
        let (path, _folder) = file(&text);
        add(&path, &new_user("c-d")).unwrap();
        remove(&path, "a").unwrap();
        let users = document::load(&path).unwrap();
        let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["b", "c-d"]);
        assert!(!users[0].may_sign_in() && users[1].may_sign_in());
    }
}

#[test]
fn a_file_that_is_wrong_is_left_alone() {
    let (path, _folder) = file("users:\n  - {name: a, password: nonsense}\n");
    assert!(matches!(
        add(&path, &new_user("b")),
        Err(EditUsersError::Load(_))
    ));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "users:\n  - {name: a, password: nonsense}\n"
    );
}

#[test]
fn a_symbolic_link_stays_one() {
    let (path, folder) = file("users: []\n");
    let link = folder.path().join("link.yaml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    add(&link, &new_user("bob")).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(document::load(&path).unwrap().len(), 1);
}

#[test]
fn writers_at_the_same_time_lose_no_user() {
    let (path, _folder) = file("users: []\n");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || add(path, &new_user(&format!("user{number}"))).unwrap());
        }
    });
    assert_eq!(document::load(&path).unwrap().len(), 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_name_is_added_is_read_back_and_can_be_removed(
        names in proptest::collection::btree_set("[^\\pC ][^\\pC]{0,12}[^\\pC ]", 1..5)
    ) {
        let names: Vec<_> = names
            .into_iter()
            .filter(|name| document::user_name(name).is_ok())
            .collect();
        // A list with nobody in it is a fault of its own.
        prop_assume!(!names.is_empty());
        let (path, _folder) = file("# head\nusers:\n");
        let mut expected = Vec::new();
        for name in &names {
            match add(&path, &new_user(name)) {
                Ok(()) => expected.push(name.clone()),
                Err(error) => prop_assert!(matches!(error, EditUsersError::Exists(_)), "{}", error),
            }
        }
        let read: Vec<_> =
            document::load(&path).unwrap().iter().map(|user| user.name.to_string()).collect();
        prop_assert_eq!(&read, &expected);
        for name in &expected {
            remove(&path, name).unwrap();
        }
        prop_assert!(document::load(&path).unwrap().is_empty());
    }
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        name: UserName::parse(name).unwrap(),
        display_name: Some("Bob: \"the\" builder".to_owned()),
        email: None,
        groups: ["staff", "on"]
            .map(|group| GroupName::parse(group).unwrap())
            .to_vec(),
        hash: OTHER.to_owned(),
        age: PasswordAge::Lasting,
    }
}

const fn lasting(hash: &str) -> NewPassword<'_> {
    NewPassword {
        hash,
        age: PasswordAge::Lasting,
        signed_out_before: None,
    }
}

fn file(text: &str) -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.yaml");
    std::fs::write(&path, text).unwrap();
    (path, folder)
}
