//! `portway keys`: lists the keys of a running node, makes another one, and lets old ones go.

use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;

use crate::cli::node;
use crate::cli::node::NodeArgs;
use crate::cli::node::NodeError;
use crate::cli::node::Shown;
use crate::cli::table;
use crate::ports::keys::KeyLine;
use crate::ports::keys::KeyList;
use crate::ports::keys::Retired;
use crate::ports::keys::Retiring;

/// What about keys.
#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    verb: KeysVerb,
}

#[derive(Debug, Subcommand)]
enum KeysVerb {
    /// Lists the keys of the ring: which one seals, and until when the others are needed
    List {
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// Takes keys out of the ring that are needed no more
    Retire {
        /// The key, as `list` shows it; by default all that are needed no more
        #[arg(value_parser = key)]
        key: Option<String>,
        /// Even if it is needed: whoever has a cookie sealed with it signs in again
        #[arg(long, requires = "key")]
        even_if_needed: bool,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// Makes another key, which seals as soon as everybody can open it; nobody is signed out
    Rotate {
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
}

/// Runs `portway keys`: 0 when it was done, 1 when the node says no.
pub(super) fn run(args: &KeysArgs) -> ExitCode {
    let done = match &args.verb {
        KeysVerb::List { node, shown } => list(node, shown),
        KeysVerb::Retire {
            key,
            even_if_needed,
            node,
            shown,
        } => {
            let which = match (key.clone(), *even_if_needed) {
                (None, _) => Retiring::Unneeded,
                (Some(key), false) => Retiring::Key(key),
                (Some(key), true) => Retiring::EvenIfNeeded(key),
            };
            retire(node, shown, &which)
        }
        KeysVerb::Rotate { node, shown } => rotate(node, shown),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => node::refused(&error),
    }
}

fn list(node: &NodeArgs, shown: &Shown) -> Result<(), NodeError> {
    let list: KeyList = node::get(node, "/v1/keys")?;
    tell(&list, shown);
    Ok(())
}

fn rotate(node: &NodeArgs, shown: &Shown) -> Result<(), NodeError> {
    let list: KeyList = node::post(node, "/v1/keys/rotate", Vec::new())?;
    tell(&list, shown);
    if !shown.json {
        super::complain(&advice(&list));
    }
    Ok(())
}

fn retire(node: &NodeArgs, shown: &Shown, which: &Retiring) -> Result<(), NodeError> {
    // What is named by types of our own is always JSON.
    let body = serde_json::to_vec(which).unwrap_or_default();
    let retired: Retired = node::post(node, "/v1/keys/retire", body)?;
    if shown.json {
        super::say_json(&retired);
        return Ok(());
    }
    if retired.keys.is_empty() {
        super::complain("every key is needed\n");
    }
    for key in &retired.keys {
        super::complain(&format!("key {key} is gone\n"));
    }
    tell(&retired.left, shown);
    if !retired.keys.is_empty() {
        super::complain(&advice(&retired.left));
    }
    Ok(())
}

fn tell(list: &KeyList, shown: &Shown) {
    if shown.json {
        super::say_json(list);
        return;
    }
    super::say(&keys(list));
    for peer in &list.lacking {
        super::complain(&match &peer.keys {
            Some(keys) => format!("{} lacks {}\n", peer.cluster_id, keys.join(", ")),
            None => format!("{} has not been heard of\n", peer.cluster_id),
        });
    }
}

/// What is left to do after a change.
fn advice(list: &KeyList) -> String {
    if list.is_shared {
        format!(
            "copy {} to the other data centres and to gates without an engine\n",
            list.file
        )
    } else {
        String::new()
    }
}

fn keys(list: &KeyList) -> String {
    let row = |line: &KeyLine| {
        [
            line.key.clone(),
            match (&line.seals_from, line.stage.as_str()) {
                (Some(from), "published") => format!("published, seals from {from}"),
                (_, stage) => stage.to_owned(),
            },
            line.created.clone(),
            line.uses.to_string(),
            match (line.stage.as_str(), &line.needed_until) {
                ("sealing", _) => "while it seals".to_owned(),
                (_, Some(until)) => until.clone(),
                (_, None) => "not known".to_owned(),
            },
        ]
    };
    table::written(&HEADINGS, list.keys.iter().map(row))
}

fn key(text: &str) -> Result<String, &'static str> {
    let fits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
        .ok_or("a key is named by the 8 hex digits that `portway keys list` shows")
}

const HEADINGS: [&str; 5] = ["KEY", "STAGE", "CREATED", "USES AT MOST", "NEEDED UNTIL"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_which_key_seals_and_until_when_others_are_needed() {
        let line = |key: &str, stage: &str, from: Option<&str>| KeyLine {
            key: key.to_owned(),
            stage: stage.to_owned(),
            created: "2026-11-22T10:00:00Z".to_owned(),
            seals_from: from.map(str::to_owned),
            uses: 262_144,
            needed_until: Some("2026-11-23T12:00:00Z".to_owned()),
        };
        let list = KeyList {
            file: "key-ring.json".to_owned(),
            keys: vec![
                line("00000002", "published", Some("2026-11-22T11:00:00Z")),
                line("00000001", "sealing", None),
                line("00000003", "opening", None),
            ],
            lacking: Vec::new(),
            is_shared: true,
        };
        let expected = "\
KEY       STAGE                                       CREATED               USES AT MOST  NEEDED UNTIL
00000002  published, seals from 2026-11-22T11:00:00Z  2026-11-22T10:00:00Z  262144        2026-11-23T12:00:00Z
00000001  sealing                                     2026-11-22T10:00:00Z  262144        while it seals
00000003  opening                                     2026-11-22T10:00:00Z  262144        2026-11-23T12:00:00Z
";
        assert_eq!(keys(&list), expected);
        assert!(advice(&list).contains("copy key-ring.json to the other data centres"));
    }

    #[test]
    fn a_key_is_named_by_eight_hex_digits() {
        assert_eq!(key("00C0FFEE").unwrap(), "00c0ffee");
        assert!(key("c0ffee").is_err());
        assert!(key("00c0ffeg").is_err());
    }
}
