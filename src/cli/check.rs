//! `portway check`: every fault of a configuration, or one screen that says what it would serve.
//!
//! Nothing is started, bound or resolved.

use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;
use crate::config::Listener;
use crate::config::Pool;
use crate::config::VirtualHost;
use crate::config::diagnostic::Colour;
use crate::config::diagnostic::Faults;
use crate::config::load::load;
use crate::decision::policy::Access;

/// Checks a configuration file: 0 with a summary when it is right, 2 with all its faults when not.
#[must_use]
pub(super) fn check(config: &Path) -> ExitCode {
    match load(config) {
        Ok(valid) => {
            write_all(std::io::stdout().lock(), &summary(config, &valid));
            ExitCode::SUCCESS
        }
        Err(faults) => refuse(config, &faults),
    }
}

/// Prints every fault of a configuration to standard error; 2.
#[must_use]
pub(super) fn refuse(config: &Path, faults: &Faults) -> ExitCode {
    let stderr = std::io::stderr();
    // https://no-color.org: any value but an empty one switches colours off.
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = if stderr.is_terminal() && !unwanted {
        Colour::Ansi
    } else {
        Colour::Plain
    };
    write_all(stderr.lock(), &report(config, faults, colour));
    ExitCode::from(FAULTY)
}

/// What `check` prints about a faulty configuration.
#[must_use]
pub(super) fn report(config: &Path, faults: &Faults, colour: Colour) -> String {
    let count = faults.count();
    let plural = if count == 1 { "fault" } else { "faults" };
    format!(
        "{}\n{}: {count} {plural}\n",
        faults.render(colour),
        config.display()
    )
}

/// What `check` prints about a valid configuration.
#[must_use]
pub(super) fn summary(config: &Path, valid: &Config) -> String {
    let mut lines = vec![format!("{}: valid", config.display()), String::new()];
    lines.push(format!("data centre    {}", valid.cluster));
    lines.push(format!("state          {}", valid.state_dir.display()));
    let collector = valid
        .collector
        .as_ref()
        .map_or("none", |collector| collector.host.as_str());
    lines.push(format!("collector      {collector}"));
    section(
        &mut lines,
        "listeners",
        valid.listeners.iter().map(listener),
    );
    section(
        &mut lines,
        "pools",
        valid.pools.values().map(|shared| pool(shared)),
    );
    section(
        &mut lines,
        "virtual hosts",
        valid.virtual_hosts.iter().map(virtual_host),
    );
    lines.push(String::new());
    lines.join("\n")
}

/// A heading with one line per item, as many as fit a screen.
fn section(lines: &mut Vec<String>, heading: &str, items: impl ExactSizeIterator<Item = String>) {
    let count = items.len();
    let mut heading = heading;
    for item in items.take(ITEMS_MAX) {
        lines.push(format!("{heading:<14} {item}"));
        heading = "";
    }
    if count > ITEMS_MAX {
        lines.push(format!(
            "{:<14} and {} more",
            "",
            count.saturating_sub(ITEMS_MAX)
        ));
    }
}

fn listener(listener: &Listener) -> String {
    let kind = match &listener.tls {
        Some(tls) => format!("https, {}", counted(tls.certificates.len(), "certificate")),
        None => "http".to_owned(),
    };
    format!("{} on {} ({kind})", listener.name, listener.bind)
}

fn pool(pool: &Pool) -> String {
    let scheme = if pool.tls.is_some() { "https" } else { "http" };
    let (primary, secondary) = (pool.primary.len(), pool.secondary.len());
    format!(
        "{} ({scheme}, {primary} primary, {secondary} secondary)",
        pool.name
    )
}

fn virtual_host(host: &VirtualHost) -> String {
    let names: Vec<String> = host.hosts.iter().map(ToString::to_string).collect();
    let count = |access| {
        host.routes
            .iter()
            .filter(|route| route.access == access)
            .count()
    };
    let kinds = [
        (count(Access::Protected), "protected"),
        (count(Access::Unprotected), "unprotected"),
        (count(Access::Excluded), "excluded"),
    ];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0);
    let kinds: Vec<String> = kinds
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    format!("{} (routes: {})", names.join(", "), kinds.join(", "))
}

fn counted(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

fn write_all(mut to: impl Write, text: &str) {
    // A closed pipe takes the text but not the exit code.
    let _closed = to.write_all(text.as_bytes());
}

/// The exit code for a configuration with faults.
const FAULTY: u8 = 2;

/// Items of one kind in a summary, so that three kinds fit a screen.
const ITEMS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_file_is_summed_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, VALID).unwrap();
        let shown = summary(&path, &load(&path).unwrap());
        for line in [
            "listeners      http on 127.0.0.1:0 (http)",
            "pools          app (http, 2 primary, 0 secondary)",
            "virtual hosts  app.example.com (routes: 1 excluded)",
        ] {
            assert!(shown.lines().any(|seen| seen == line), "{shown}");
        }
        assert_eq!(
            format!("{:?}", check(&path)),
            format!("{:?}", ExitCode::SUCCESS)
        );
    }

    #[test]
    fn a_faulty_file_gives_every_fault_and_exit_code_2() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(
            &path,
            VALID
                .replace("excluded", "open")
                .replace("10.0.0.2:80", "x"),
        )
        .unwrap();
        let shown = report(&path, &load(&path).unwrap_err(), Colour::Plain);
        assert!(shown.ends_with("gateway.yaml: 2 faults\n"), "{shown}");
        assert!(shown.contains("`open` is not one of"), "{shown}");
        assert_eq!(
            format!("{:?}", check(&path)),
            format!("{:?}", ExitCode::from(2))
        );
    }

    const VALID: &str = "listeners: [{ name: http, bind: '127.0.0.1:0' }]
pools: { app: { primary: ['10.0.0.1:80', '10.0.0.2:80'] } }
virtual_hosts:
  - host: app.example.com
    plain_http: serve
    routes: [{ path: /, access: excluded, pool: app }]
";
}
