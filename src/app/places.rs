//! Whether the node can write where it has to, and read its keys: found out without making anything.
//!
//! What is wrong is told as the start would tell it, before the start; by `portway check`, and of logs by a
//! reload too.

use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Access;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::accessat;

use crate::app::keys;
use crate::config::Config;
use crate::config::logs::LinesTo;

/// What keeps a node from starting, beside what a reload minds as well.
pub(super) fn before_start(config: &Config) -> Vec<String> {
    let dir = config.state_dir.display();
    let state = creatable_dir(&config.state_dir).err();
    let state =
        state.map(|why| format!("error: the state directory {dir} cannot be used: {why}\n"));
    let keys = keys::fault(config).map(|why| format!("error: {why}\n"));
    state.into_iter().chain(keys).collect()
}

/// What keeps logs from being written.
pub(super) fn of_logs(config: &Config) -> Vec<String> {
    let access = config
        .logs
        .access
        .as_ref()
        .and_then(|lines| match &lines.to {
            LinesTo::File(file) => Some(file),
            LinesTo::Stderr | LinesTo::Stdout => None,
        });
    let audit = config.logs.audit.as_ref().map(|audit| &audit.file);
    let files = [("access log", access), ("audit trail", audit)];
    let faults = files.into_iter().filter_map(|(what, file)| {
        let file = file?;
        let why = writable_file(file, &config.state_dir).err()?;
        let file = file.display();
        Some(format!(
            "error: the {what} {file} cannot be written: {why}\n"
        ))
    });
    faults.collect()
}

/// A file that is there, or that can be made. The state directory is made at the first start.
fn writable_file(file: &Path, state_dir: &Path) -> Result<(), String> {
    if file.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if file.exists() {
        // It may be a device in a folder where nobody makes files.
        let may = may_write(file, Access::WRITE_OK);
        return may.then_some(()).ok_or_else(no_permission);
    }
    let folder = folder_of(file);
    if folder == state_dir && !folder.exists() {
        return Ok(());
    }
    writable_dir(&folder)
}

fn creatable_dir(dir: &Path) -> Result<(), String> {
    let there = dir.ancestors().find(|folder| folder.exists());
    match there {
        Some(there) if there == dir => writable_dir(dir),
        Some(there) if !there.as_os_str().is_empty() => writable_dir(there),
        _ => writable_dir(Path::new(".")),
    }
}

fn writable_dir(dir: &Path) -> Result<(), String> {
    let shown = dir.display();
    if !dir.exists() {
        return Err(format!("the folder {shown} does not exist"));
    }
    if !dir.is_dir() {
        return Err(format!("{shown} is no folder"));
    }
    if may_write(dir, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(())
    } else {
        Err(format!("in {shown}, {}", no_permission()))
    }
}

/// Whether the user of this process may, who is not always the one who began it.
fn may_write(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

fn folder_of(file: &Path) -> PathBuf {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new(".")).to_owned()
}

fn no_permission() -> String {
    "this user may not write".to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::load::load;

    #[test]
    fn what_the_start_would_be_refused_for_is_found_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let found = |more: &str| {
            std::fs::write(at("gateway.yaml"), format!("{more}{HOSTS}")).unwrap();
            let config = load(&at("gateway.yaml")).unwrap();
            let mut all = before_start(&config);
            all.extend(of_logs(&config));
            all.concat()
                .replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(found(""), "");
        let logs = "logs: { access: { to: no/access.log }, audit: { file: gateway.yaml/a } }\n";
        assert_eq!(
            found(logs),
            "error: the access log no/access.log cannot be written: the folder no does not exist\n\
             error: the audit trail gateway.yaml/a cannot be written: gateway.yaml is no folder\n"
        );
        assert_eq!(
            found("state_dir: gateway.yaml/state\n"),
            "error: the state directory gateway.yaml/state cannot be used: gateway.yaml is no folder\n"
        );
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1, "nothing is made");
    }

    #[test]
    fn a_key_ring_that_is_cut_or_open_to_others_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, format!("key_ring_file: ring.json\n{HOSTS}")).unwrap();
        let ring = folder.path().join("ring.json");
        std::fs::write(&ring, "{").unwrap();
        let found = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&ring, permissions).unwrap();
            before_start(&load(&path).unwrap()).concat()
        };
        let open = found(0o644);
        assert!(open.contains("can be read by others (mode 644)"), "{open}");
        let cut = found(0o600);
        assert!(
            cut.contains("cannot be used: it is not a key ring"),
            "{cut}"
        );
        assert_eq!(cut.lines().count(), 1, "{cut}");
    }

    const HOSTS: &str = "listeners: [{ name: http, bind: '127.0.0.1:0' }]
pools: { app: { primary: ['10.0.0.1:80'] } }
virtual_hosts:
  - host: app.example.com
    plain_http: serve
    routes: [{ path: /, access: excluded, pool: app }]
";
}
