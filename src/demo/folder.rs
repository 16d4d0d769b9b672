//! The folder of the demonstration: certificates, users and keys that both data centres share, and a
//! folder for each with its configuration and its gateway's state.
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
use zeroize::Zeroizing;

use crate::crypto::key_ring::KeyRing;
use crate::demo::Folder;
use crate::demo::centre::Files;
use crate::demo::certificate;
use crate::demo::plan::CENTRE_IDS;
use crate::demo::plan::CentrePlan;
use crate::demo::plan::PASSWORD_FILE;
use crate::demo::plan::configuration;
use crate::demo::site::APP;
use crate::demo::site::DOMAIN;
use crate::demo::site::LOGIN;
use crate::demo::site::OTHER;
use crate::model::name::GroupName;
use crate::model::name::UserName;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::provider::users_file::document::PasswordAge;
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

    /// Writes what both data centres share, as far as it is missing: certificates, users, keys.
    pub(super) fn write_shared(&self) -> anyhow::Result<()> {
        if !self.ca_file().exists() {
            let issued = certificate::issue(&[APP, LOGIN, OTHER], DOMAIN, &SystemClock)?;
            self.put("key.pem", issued.key_pem.as_bytes())?;
            self.put("certificate.pem", issued.certificate_pem.as_bytes())?;
            self.put("ca.pem", issued.ca_pem.as_bytes())?;
        }
        let users_file = self.path.join("users.yaml");
        if !users_file.exists() {
            for (name, shown, groups) in USERS {
                edit::add(&users_file, &user(name, shown, groups)?)?;
            }
        }
        if !self.path.join(PASSWORD_FILE).exists() {
            self.put(PASSWORD_FILE, unguessable_name().as_bytes())?;
        }
        self.write_keys()
    }

    /// Writes the configuration of a data centre; answers where it is.
    pub(super) fn write_centre(&self, plan: &CentrePlan<'_>) -> anyhow::Result<Files> {
        let log = self.path.join(format!("{}.log", plan.id));
        let config = self.put(
            &format!("{}/gateway.yaml", plan.id),
            configuration(plan).as_bytes(),
        )?;
        Ok(Files { config, log })
    }

    /// The keys that both data centres open cookies with.
    pub(super) fn keys(&self) -> anyhow::Result<KeyRing> {
        Ok(KeyRing::parse(&fs::read(self.key_ring(CENTRE_IDS[0]))?)?)
    }

    fn write_keys(&self) -> anyhow::Result<()> {
        let [first, second] = CENTRE_IDS;
        for id in CENTRE_IDS {
            let state = self.path.join(id).join("state");
            let mut folder = DirBuilder::new();
            let made = folder.mode(0o700).recursive(true).create(&state);
            made.with_context(|| format!("the folder {} could not be made", state.display()))?;
        }
        if !self.key_ring(first).exists() {
            let mut secret = Zeroizing::new([0; 32]);
            SystemEntropy::new().fill(secret.as_mut_slice());
            let ring = KeyRing::first_file(&secret, SystemClock.now())?;
            self.put(&format!("{first}/{KEY_RING}"), &ring)?;
        }
        let ring = Zeroizing::new(fs::read(self.key_ring(first))?);
        self.put(&format!("{second}/{KEY_RING}"), &ring)?;
        Ok(())
    }

    fn key_ring(&self, id: &str) -> PathBuf {
        self.path.join(id).join(KEY_RING)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
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

const KEY_RING: &str = "state/key-ring.json";

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
        age: PasswordAge::Lasting,
    })
}

fn unguessable_name() -> String {
    let mut bytes = [0; 8];
    SystemEntropy::new().fill(&mut bytes);
    format!("portway-demo-{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config;
    use crate::config::Bind;
    use crate::config::Pool;
    use crate::decision::adoption::OnSilence;
    use crate::demo::apps::Apps;
    use crate::demo::site::Site;
    use crate::provider::users_file::document;

    fn plan<'a>(site: Site, apps: &'a Apps) -> CentrePlan<'a> {
        CentrePlan {
            id: "a",
            peer: "b",
            site,
            apps,
            back_channel: 5575,
            way_to_peer: "127.0.0.1:5576".parse().unwrap(),
            on_silence: OnSilence::Continue,
        }
    }

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
        let apps = Apps::bind(site, 1).unwrap();
        folder.write_shared().unwrap();
        let files = folder.write_centre(&plan(site, &apps)).unwrap();
        let config = config::load::load(&files.config).unwrap();
        let mut listeners = config.listeners.iter();
        let is_loopback =
            |bind: &Bind| matches!(bind, Bind::Tcp(address) if address.ip().is_loopback());
        assert!(listeners.all(|listener| is_loopback(&listener.bind)));
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
        let write = || {
            let folder = WorkFolder::make(&Folder::Kept(under.path().join("kept"))).unwrap();
            folder.write_shared().unwrap();
            (folder.ca_pem().unwrap(), folder.keys().unwrap().ids())
        };
        assert_eq!(write(), write());
    }
}
