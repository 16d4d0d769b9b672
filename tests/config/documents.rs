//! Every configuration in the documents is one. A block that shows a part is completed with sections of a small
//! configuration before it is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use portway::config::parse::Surroundings;
use portway::config::parse::parse;
use portway::provider::users_file::document;

use crate::read;
use crate::root;
use crate::variable;

#[test]
fn every_configuration_in_the_documents_parses() {
    let mut count = 0;
    for (path, text) in documents() {
        for block in blocks(&text, "yaml") {
            let whole = completed(&block);
            let surroundings = Surroundings {
                folder: Path::new(""),
                variable: &variable,
                read: &read,
                // Where a folder is included, there is nothing in it.
                list: &|_| Ok(Vec::new()),
                threads: 4,
            };
            if let Err(faults) = parse(&whole, &path.display().to_string(), &surroundings) {
                panic!("{faults}\n{whole}");
            }
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn every_users_file_in_the_documents_parses() {
    let mut count = 0;
    for (path, text) in documents() {
        for block in blocks(&text, "yaml users") {
            let whole = block.replace("$argon2id$…", HASH);
            if let Err(error) = document::parse(&whole, &path) {
                panic!("{error}");
            }
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn a_part_is_completed_and_a_whole_is_left_alone() {
    let part = completed("session: { idle_timeout: 5m }\n");
    assert!(part.starts_with("session:") && part.contains("\nvirtual_hosts:"));
    let own = completed("pools: { x: { primary: ['a:1'] } }\n");
    assert_eq!(own.matches("pools:").count(), 1);
    let whole = "listeners: []\nvirtual_hosts: []\n";
    assert_eq!(completed(whole), whole);
}

/// The documents of the repository: those at its root, in `docs` and in `examples`.
fn documents() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_deeper = folder != root();
            let is_documents = path.ends_with("docs") || path.ends_with("examples");
            if path.is_dir() && (is_deeper || is_documents) {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                files.push(path);
            }
        }
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    files.into_iter().map(read).collect()
}

fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let blocks = text.split(&opening).skip(1);
    let inside = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    inside.map(str::to_owned).collect()
}

/// A part with the sections that it lacks.
fn completed(block: &str) -> String {
    let own = sections(block);
    if own.contains_key("listeners") && own.contains_key("virtual_hosts") {
        return block.to_owned();
    }
    let others = sections(REST);
    let lacking = others.iter().filter(|(name, _)| !own.contains_key(*name));
    let lacking: String = lacking.map(|(_, text)| text.as_str()).collect();
    format!("{block}{lacking}")
}

/// The sections at the top level, by their names.
fn sections(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut open = String::new();
    for line in text.lines() {
        let begins = line.starts_with(|c: char| c.is_ascii_lowercase());
        if let Some((name, _)) = line.split_once(':').filter(|_| begins) {
            name.clone_into(&mut open);
        }
        let section = found.entry(open.clone()).or_default();
        section.push_str(line);
        section.push('\n');
    }
    found
}

/// What parts of configurations refer to.
const REST: &str = "listeners:
  - { name: https, bind: 0.0.0.0:443, tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }
  - { name: http, bind: 0.0.0.0:80 }
collector: { host: login.example.com }
authentication: { users_file: users.yaml }
pools:
  work: { primary: [127.0.0.1:3000] }
policies:
  staff: [{ allow: { group: staff } }]
virtual_hosts:
  - host: work.example.com
    routes: [{ path: /, access: protected, policy: staff, pool: work }]
";

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$\
                    Zm9yIHRlc3RzIG9ubHksIG5vIHBhc3N3b3JkIGhlcmU";
