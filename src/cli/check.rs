//! `portway check`: every fault of a configuration, or one screen that says what it would serve.
//!
//! Nothing is started or made; what the configuration names is looked at (`app::verify`). Where its names lead is
//! looked up where somebody asks for it (`app::leads`).

use std::io::IsTerminal;
use std::io::Stderr;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::app;
use crate::app::branding;
use crate::app::leads::Leads;
use crate::app::leads::leads;
use crate::cli::ConfigArgs;
use crate::config::Config;
use crate::config::Listener;
use crate::config::Pool;
use crate::config::VirtualHost;
use crate::config::diagnostic::Colour;
use crate::config::diagnostic::Faults;
use crate::config::diagnostic::Warnings;
use crate::config::load::load;
use crate::config::mdc::CollectorPlace;
use crate::config::mdc::EngineSource;
use crate::config::mdc::Mdc;
use crate::config::mdc::Peer;
use crate::config::mdc::RemoteEngine;
use crate::config::mdc::Security;
use crate::decision::adoption::Anchor;
use crate::decision::adoption::OnSilence;
use crate::decision::policy::Access;
use crate::ports::clock::Clock;
use crate::system::SystemClock;
use crate::telemetry;

/// The arguments of `portway check`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also looks up where the names of virtual hosts and of the collector lead, and says so
    #[arg(long)]
    resolve: bool,
}

/// Whether names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    LookedUp,
    Unasked,
}

/// Runs the verb.
#[must_use]
pub(super) fn run(args: &CheckArgs) -> ExitCode {
    let names = if args.resolve {
        Names::LookedUp
    } else {
        Names::Unasked
    };
    check(&args.config.config, names)
}

/// Checks a configuration file: 0 with its warnings and a summary when it is right, 2 with all its faults
/// when not. Where names lead changes nothing about that.
fn check(config: &Path, names: Names) -> ExitCode {
    match load(config) {
        Ok(valid) => {
            let stderr = std::io::stderr();
            let pages = branding::check(&valid);
            let mut unusable = app::verify::unstartable(&valid, SystemClock.now());
            unusable.extend(pages.faults.iter().map(|fault| format!("error: {fault}\n")));
            if !unusable.is_empty() {
                let shown = format!(
                    "{}\n{}",
                    unusable.join("\n"),
                    verdict(config, unusable.len())
                );
                write_all(stderr.lock(), &shown);
                return ExitCode::from(super::FAULTY);
            }
            let warnings = advice(&valid.warnings, colour_of(&stderr));
            write_all(stderr.lock(), &warnings);
            let mut doubts = app::doubts::all(&valid, SystemClock.now());
            doubts.extend(pages.warnings);
            let found = match names {
                Names::LookedUp => leads(&valid),
                Names::Unasked => Leads::default(),
            };
            doubts.extend(found.doubts);
            for doubt in &doubts {
                write_all(stderr.lock(), &format!("warning: {doubt}\n"));
            }
            let mut shown = summary(config, &valid, doubts.len());
            shown.extend(listed("names", &found.lines));
            write_all(std::io::stdout().lock(), &shown);
            ExitCode::SUCCESS
        }
        Err(faults) => refuse(config, &faults),
    }
}

/// Prints every fault of a configuration to standard error; 2.
#[must_use]
pub(super) fn refuse(config: &Path, faults: &Faults) -> ExitCode {
    telemetry::settle();
    let stderr = std::io::stderr();
    let colour = colour_of(&stderr);
    write_all(stderr.lock(), &report(config, faults, colour));
    ExitCode::from(super::FAULTY)
}

fn colour_of(stderr: &Stderr) -> Colour {
    // https://no-color.org: any value but an empty one switches colours off.
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stderr.is_terminal() && !unwanted {
        Colour::Ansi
    } else {
        Colour::Plain
    }
}

/// What `check` prints before the summary: every warning, each with an empty line behind it.
#[must_use]
pub(super) fn advice(warnings: &Warnings, colour: Colour) -> String {
    if warnings.count() == 0 {
        return String::new();
    }
    format!("{}\n", warnings.render(colour))
}

/// What `check` prints about a faulty configuration.
#[must_use]
pub(super) fn report(config: &Path, faults: &Faults, colour: Colour) -> String {
    let verdict = verdict(config, faults.count());
    format!("{}\n{verdict}", faults.render(colour))
}

fn verdict(config: &Path, count: usize) -> String {
    format!("{}: {}\n", config.display(), counted(count, "fault"))
}

/// What `check` prints about a valid configuration, about which there are so many doubts beside its warnings.
#[must_use]
pub(super) fn summary(config: &Path, valid: &Config, doubts: usize) -> String {
    let verdict = match valid.warnings.count().saturating_add(doubts) {
        0 => "valid".to_owned(),
        count => format!("valid, with {}", counted(count, "warning")),
    };
    let mut lines = vec![format!("{}: {verdict}", config.display()), String::new()];
    lines.push(format!("data centre    {}", valid.cluster));
    lines.push(format!("state          {}", valid.state_dir.display()));
    lines.push(format!("collector      {}", collector(valid)));
    lines.extend(valid.mdc.iter().flat_map(several));
    if let EngineSource::Remote(engine) = &valid.engine {
        lines.push(format!("engine         {}", remote(engine)));
    }
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

/// A heading with one line per item, all of them: somebody has asked for them.
fn listed(heading: &'static str, items: &[String]) -> impl Iterator<Item = String> {
    let headings = std::iter::once(heading).chain(std::iter::repeat(""));
    let lines = headings.zip(items);
    lines.map(|(heading, item)| format!("{heading:<14} {item}\n"))
}

fn collector(valid: &Config) -> String {
    match &valid.collector {
        None => "none".to_owned(),
        Some(collector) => match collector.place {
            CollectorPlace::Here => collector.host.to_string(),
            CollectorPlace::Elsewhere => format!("{}, served elsewhere", collector.host),
        },
    }
}

/// What is configured about several data centres, as many lines as there are peers and two more.
fn several(mdc: &Mdc) -> Vec<String> {
    let adoption = &mdc.adoption;
    let anchor = match adoption.anchor {
        Anchor::Anchored => "anchored",
        Anchor::Free => "not anchored",
    };
    let silence = match adoption.on_silence {
        OnSilence::Challenge => "challenged without an answer",
        OnSilence::Continue => "continued without an answer",
    };
    let gito = match &mdc.gito {
        None => "no common cookie".to_owned(),
        Some(gito) => format!("common cookie for {}", gito.domain),
    };
    let channel = &mdc.back_channel;
    let mut lines = vec![
        format!("adoption       {anchor}, {silence}, {gito}"),
        format!(
            "back-channel   {} ({})",
            channel.bind,
            mode(&channel.security)
        ),
    ];
    section(&mut lines, "peers", mdc.peers.iter().map(peer));
    section(
        &mut lines,
        "gates",
        mdc.gates.iter().map(|gate| gate.name.to_string()),
    );
    lines
}

fn peer(peer: &Peer) -> String {
    let (primary, secondary) = (peer.primary.len(), peer.secondary.len());
    let mode = mode(&peer.security);
    format!(
        "{} ({mode}, {primary} primary, {secondary} secondary)",
        peer.cluster
    )
}

fn remote(engine: &RemoteEngine) -> String {
    let (primary, secondary) = (engine.primary.len(), engine.secondary.len());
    let mode = mode(&engine.security);
    format!(
        "remote, as {} ({mode}, {primary} primary, {secondary} secondary)",
        engine.name
    )
}

const fn mode(security: &Security) -> &'static str {
    match security {
        Security::Cert(_) => "cert",
        Security::Open => "open",
        Security::Simple(_) => "simple",
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
    let scheme = match (&pool.tls, &pool.http2) {
        (None, None) => "http",
        (Some(_), None) => "https",
        (Some(_), Some(_)) => "h2",
        (None, Some(_)) => "h2c",
    };
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
        let shown = summary(&path, &load(&path).unwrap(), 0);
        for line in [
            "listeners      http on 127.0.0.1:0 (http)",
            "pools          app (http, 2 primary, 0 secondary)",
            "virtual hosts  app.example.com (routes: 1 excluded)",
        ] {
            assert!(shown.lines().any(|seen| seen == line), "{shown}");
        }
        assert_eq!(
            format!("{:?}", check(&path, Names::Unasked)),
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
            format!("{:?}", check(&path, Names::Unasked)),
            format!("{:?}", ExitCode::from(2))
        );
    }

    #[test]
    fn warnings_are_shown_and_do_not_fail_x_12() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, format!("{SEVERAL}{VALID}")).unwrap();
        std::fs::write(folder.path().join("ldc.password"), "between us\n").unwrap();
        let valid = load(&path).unwrap();
        let warnings = advice(&valid.warnings, Colour::Plain);
        assert!(
            warnings.starts_with("warning: `continue_on_sync_failure` has no effect"),
            "{warnings}"
        );
        let shown = summary(&path, &valid, 0);
        for line in [
            "adoption       not anchored, continued without an answer, no common cookie",
            "back-channel   127.0.0.1:5575 (open)",
            "peers          ldc (open, 1 primary, 0 secondary)",
        ] {
            assert!(shown.lines().any(|seen| seen == line), "{shown}");
        }
        let first = shown.lines().next().unwrap();
        assert!(first.ends_with(": valid, with 1 warning"), "{first}");
        assert_eq!(
            format!("{:?}", check(&path, Names::Unasked)),
            format!("{:?}", ExitCode::SUCCESS)
        );
    }

    #[test]
    fn pages_of_the_operators_are_tried_and_their_faults_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        let branding = "branding: { templates_dir: pages, language: es }\n";
        std::fs::write(&path, format!("{branding}{VALID}")).unwrap();
        let faults = || branding::check(&load(&path).unwrap()).faults;
        let found = faults();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("pages: No such file"), "{found:?}");
        assert!(
            found[1].starts_with("branding.language: `es` is not spoken"),
            "{found:?}"
        );
        std::fs::create_dir_all(folder.path().join("pages/messages")).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join("pages").join(name), text).unwrap();
        };
        write("messages/es.txt", "sign_in = Entrar\n");
        assert_eq!(faults(), Vec::<String>::new());
        let warnings = branding::check(&load(&path).unwrap()).warnings;
        assert!(
            warnings[0].contains("pages/messages/es.txt: the key"),
            "{warnings:?}"
        );
        assert_eq!(
            format!("{:?}", check(&path, Names::Unasked)),
            format!("{:?}", ExitCode::SUCCESS)
        );
        write("login.html", "{{ nothing }}");
        let found = faults();
        assert!(
            found[0].contains("pages/login.html:1: undefined"),
            "{found:?}"
        );
        assert_eq!(
            format!("{:?}", check(&path, Names::Unasked)),
            format!("{:?}", ExitCode::from(2))
        );
    }

    const SEVERAL: &str = "cluster_id: nydc
mdc:
  adoption: { reauthenticate: true, continue_on_sync_failure: true }
  back_channel: { bind: '127.0.0.1:5575', security: open }
  peers: [{ cluster_id: ldc, primary: ['127.0.0.1:5576'], password_file: ldc.password }]
";

    const VALID: &str = "listeners: [{ name: http, bind: '127.0.0.1:0' }]
pools: { app: { primary: ['10.0.0.1:80', '10.0.0.2:80'] } }
virtual_hosts:
  - host: app.example.com
    plain_http: serve
    routes: [{ path: /, access: excluded, pool: app }]
";
}
