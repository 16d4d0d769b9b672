//! What is doubtful about the sockets of the file system that upstreams are at.
//!
//! Whether anybody listens there is not tried out: health checks do that.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::Access;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::accessat;

use crate::config::Config;
use crate::config::Pool;
use crate::config::UpstreamPlace;

/// What a socket is not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// There; its application may come yet.
    Absent,
    /// Of any use, whoever comes.
    Useless(&'static str),
}

/// Sockets that this node cannot connect to as they are.
pub(super) fn useless(config: &Config) -> Vec<String> {
    told(config, |doubt| match doubt {
        Doubt::Absent => None,
        Doubt::Useless(why) => Some(why),
    })
}

/// Sockets that are not there.
pub(super) fn absent(config: &Config) -> Vec<String> {
    told(config, |doubt| {
        (doubt == Doubt::Absent).then_some("it does not exist; does its application run?")
    })
}

fn told(config: &Config, why: impl Fn(Doubt) -> Option<&'static str>) -> Vec<String> {
    let pools = config.pools.values();
    let told = pools.flat_map(|pool| {
        let doubts = doubts(pool);
        doubts.filter_map(|(path, doubt)| Some(line(pool, path, why(doubt)?)))
    });
    told.collect()
}

fn line(pool: &Pool, path: &str, why: &str) -> String {
    format!("the pool {} cannot use the socket {path}: {why}", pool.name)
}

fn doubts(pool: &Pool) -> impl Iterator<Item = (&str, Doubt)> {
    let upstreams = pool.primary.iter().chain(&pool.secondary);
    upstreams.filter_map(|upstream| match &upstream.place {
        UpstreamPlace::Unix(path) => Some((path.as_str(), doubt(Path::new(path))?)),
        UpstreamPlace::Inet { .. } | UpstreamPlace::Service(_) => None,
    })
}

fn doubt(path: &Path) -> Option<Doubt> {
    let kind = match std::fs::metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Doubt::Absent),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Some(Doubt::Useless("a folder on its way is closed to this user"));
        }
        Err(_) => return Some(Doubt::Useless("its path leads nowhere")),
    };
    if kind.is_dir() {
        Some(Doubt::Useless("it is a folder"))
    } else if !kind.is_socket() {
        Some(Doubt::Useless("it is a file, and no socket"))
    } else {
        let may = accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
        let why = "this user may not write to it";
        may.err().map(|_| Doubt::Useless(why))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::config::load::load;

    #[test]
    fn sockets_that_are_none_are_told_and_so_are_those_that_are_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _listener = UnixListener::bind(at("good")).unwrap();
        std::os::unix::fs::symlink(at("good"), at("link")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        let names = ["good", "link", "file", "folder", "none", "file/below"];
        let sockets = names.map(|name| format!("'unix:{}'", at(name).display()));
        let text = format!(
            "listeners: [{{ name: http, bind: '127.0.0.1:0' }}]
pools: {{ app: {{ primary: [{}], secondary: ['10.0.0.1:80'] }} }}
virtual_hosts:
  - host: app.example.com
    plain_http: serve
    routes: [{{ path: /, access: excluded, pool: app }}]
",
            sockets.join(", ")
        );
        std::fs::write(at("gateway.yaml"), text).unwrap();
        let config = load(&at("gateway.yaml")).unwrap();
        let told = |lines: Vec<String>| {
            lines
                .join("\n")
                .replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(
            told(useless(&config)),
            "the pool app cannot use the socket file: it is a file, and no socket\n\
             the pool app cannot use the socket folder: it is a folder\n\
             the pool app cannot use the socket file/below: its path leads nowhere"
        );
        assert_eq!(
            told(absent(&config)),
            "the pool app cannot use the socket none: it does not exist; does its application run?"
        );
    }
}
