//! The folder of the demonstration: certificates, users, configuration, the gateway's state.
//!
//! Made anew and removed, or kept where the user says so. Nothing outside it is written.

use std::fs;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;

use crate::demo::Folder;
use crate::demo::apps::Apps;
use crate::demo::apps::Kind;
use crate::demo::apps::Tier;
use crate::demo::certificate;
use crate::demo::site::APP;
use crate::demo::site::DOMAIN;
use crate::demo::site::LOGIN;
use crate::demo::site::OTHER;
use crate::demo::site::Site;
use crate::model::name::GroupName;
use crate::model::name::UserName;
use crate::ports::entropy::Entropy;
use crate::provider::users_file::edit;
use crate::provider::users_file::edit::NewUser;
use crate::provider::users_file::hash;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

/// The folder of one demonstration; a fresh one is removed with everything in it when dropped.
#[derive(Debug)]
pub(super) struct WorkFolder {
    path: PathBuf,
    after: After,
}

#[derive(Debug, PartialEq, Eq)]
enum After {
    Keep,
    Remove,
}

impl WorkFolder {
    pub(super) fn make(folder: &Folder) -> anyhow::Result<Self> {
        let (path, after) = match folder {
            Folder::Fresh { under } => (under.join(unguessable_name()), After::Remove),
            Folder::Kept(path) => (path.clone(), After::Keep),
        };
        // A fresh folder must not exist: whoever made it could have put something into it.
        DirBuilder::new()
            .mode(0o700)
            .recursive(after == After::Keep)
            .create(&path)
            .with_context(|| format!("the folder {} could not be made", path.display()))?;
        Ok(Self { path, after })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.path.join("ca.pem")
    }

    pub(super) fn ca_pem(&self) -> anyhow::Result<Vec<u8>> {
        let file = self.ca_file();
        fs::read(&file).with_context(|| format!("{} could not be read", file.display()))
    }

    /// Writes what is missing, and the configuration in any case; answers the configuration's path.
    pub(super) fn write(&self, site: Site, apps: &Apps) -> anyhow::Result<PathBuf> {
        if !self.ca_file().exists() {
            let issued = certificate::issue(&[APP, LOGIN, OTHER], DOMAIN, &SystemClock)?;
            self.put("key.pem", &issued.key_pem)?;
            self.put("certificate.pem", &issued.certificate_pem)?;
            self.put("ca.pem", &issued.ca_pem)?;
        }
        let users_file = self.path.join("users.yaml");
        if !users_file.exists() {
            for (name, shown, groups) in USERS {
                edit::add(&users_file, &user(name, shown, groups)?)?;
            }
        }
        self.put("gateway.yaml", &configuration(site, apps))
    }

    fn put(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("{} could not be written", path.display()))?;
        Ok(path)
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if self.after == After::Remove {
            // What cannot be removed stays in the folder for temporary files, readable by its owner.
            let _left_behind = fs::remove_dir_all(&self.path).is_err();
        }
    }
}

/// The users of the demonstration: name, name to show, groups. The password is the name with `-demo`.
const USERS: [(&str, &str, &[&str]); 2] = [
    ("alice", "Alice Liddell", &["staff"]),
    ("carol", "Carol Danvers", &["staff", "admins"]),
];

/// The password of a user of the demonstration.
pub(super) fn password_of(name: &str) -> String {
    format!("{name}-demo")
}

fn user(name: &str, shown: &str, groups: &[&str]) -> anyhow::Result<NewUser> {
    Ok(NewUser {
        name: UserName::parse(name)?,
        display_name: Some(shown.to_owned()),
        email: Some(format!("{name}@{DOMAIN}")),
        groups: groups
            .iter()
            .map(|group| GroupName::parse(group))
            .collect::<Result<_, _>>()?,
        hash: hash::hash_password(password_of(name).as_bytes())?,
    })
}

fn unguessable_name() -> String {
    let mut bytes = [0; 8];
    SystemEntropy::new().fill(&mut bytes);
    format!("portway-demo-{:016x}", u64::from_be_bytes(bytes))
}

fn configuration(site: Site, apps: &Apps) -> String {
    let Site { https, http } = site;
    let pools: String = [Kind::Admin, Kind::Clock, Kind::Echo]
        .map(|kind| {
            format!(
                "  {}:\n    primary: [{}]\n    secondary: [{}]\n    max_fails: 1\n    \
                 fail_timeout: 2s\n    health_check:\n      interval: 1s\n      timeout: 500ms\n      \
                 http: {{path: /health}}\n",
                kind.name(),
                apps.addresses(kind, Tier::Primary).join(", "),
                apps.addresses(kind, Tier::Secondary).join(", "),
            )
        })
        .concat();
    format!(
        "# Written by `portway demo` at each start; change a copy.
state_dir: state

listeners:
  - name: https
    bind: 127.0.0.1:{https}
    tls:
      certificates:
        - certificate_file: certificate.pem
          key_file: key.pem
  - name: http
    bind: 127.0.0.1:{http}

collector:
  host: {LOGIN}
  title: Portway demonstration

authentication:
  users_file: users.yaml

policies:
  everyone:
    - allow: signed_in
  admins:
    - allow: {{group: admins}}

# Each pool has two primaries and one secondary, which joins when no primary is well.
pools:
{pools}
virtual_hosts:
  - host: {APP}
    routes:
      - {{path: /public, access: unprotected, pool: echo}}
      - {{path: /clock, access: protected, policy: everyone, pool: clock}}
      - {{path: /admin, access: protected, policy: admins, pool: admin}}
      - {{path: /, access: protected, policy: everyone, pool: echo}}
  - host: {OTHER}
    routes:
      - {{path: /, access: protected, policy: everyone, pool: echo}}
"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config;
    use crate::config::Pool;
    use crate::provider::users_file::document;

    #[test]
    fn a_fresh_folder_is_private_whole_and_gone_at_the_end() {
        let under = tempfile::tempdir().unwrap();
        let folder = WorkFolder::make(&Folder::Fresh {
            under: under.path().to_owned(),
        })
        .unwrap();
        let path = folder.path().to_owned();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let site = Site {
            https: 8443,
            http: 8080,
        };
        let config = folder.write(site, &Apps::bind(site).unwrap()).unwrap();
        let config = config::load::load(&config).unwrap();
        let mut listeners = config.listeners.iter();
        assert!(listeners.all(|listener| listener.bind.ip().is_loopback()));
        assert!(config.state_dir.starts_with(&path));
        let tiers = |pool: &Pool| (pool.primary.len(), pool.secondary.len());
        assert!(config.pools.values().all(|pool| tiers(pool) == (2, 1)));
        let users = document::load(&path.join("users.yaml")).unwrap();
        assert_eq!(users.len(), 2);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_kept_folder_keeps_its_certificate() {
        let under = tempfile::tempdir().unwrap();
        let site = Site { https: 1, http: 2 };
        let apps = Apps::bind(site).unwrap();
        let write = || {
            let folder = WorkFolder::make(&Folder::Kept(under.path().join("kept"))).unwrap();
            folder.write(site, &apps).unwrap();
            folder.ca_pem().unwrap()
        };
        assert_eq!(write(), write());
    }
}
