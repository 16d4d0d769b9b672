//! `portway status`: how a node is, on one screen or as JSON.

use std::process::ExitCode;

use clap::Args;

use crate::cli::node;
use crate::cli::node::NodeArgs;
use crate::cli::node::Shown;
use crate::ports::control::ConfigurationStatus;
use crate::ports::control::ListenerStatus;
use crate::ports::control::NodeStatus;
use crate::ports::control::PeerStatus;
use crate::ports::control::PoolStatus;
use crate::ports::control::ReloadReport;
use crate::ports::control::ReloadResult;
use crate::ports::control::Trigger;

/// Which node, and how its answer is shown.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    shown: Shown,
}

/// Shows how the node is.
pub(super) fn run(args: &StatusArgs) -> ExitCode {
    let status: NodeStatus = match node::get(&args.node, "/v1/status") {
        Ok(status) => status,
        Err(error) => return node::refused(&error),
    };
    if args.shown.json {
        super::say_json(&status);
    } else {
        super::say(&screen(&status));
    }
    ExitCode::SUCCESS
}

fn screen(status: &NodeStatus) -> String {
    let mut lines = vec![
        line(
            "portway",
            &format!("{}, process {}", status.version, status.process_id),
        ),
        line("data centre", &status.cluster_id),
        line(
            "up",
            &format!("{} (since {})", span(status.uptime_seconds), status.started),
        ),
        line("readiness", &status.readiness.replace('_', " ")),
    ];
    lines.extend(configuration(&status.configuration));
    let listeners = status.listeners.iter().map(|listener| {
        let kind = if listener.tls { "https" } else { "http" };
        format!("{} on {} ({kind})", listener.name, listener.address)
    });
    lines.extend(section("listeners", &listeners.collect::<Vec<_>>()));
    lines.extend(section("certificates", &certificates(&status.listeners)));
    let pools: Vec<String> = status.pools.iter().flat_map(pool).collect();
    lines.extend(section("pools", &pools));
    if let Some(sessions) = status.sessions {
        lines.push(line("sessions", &sessions.to_string()));
    }
    if let Some(users) = &status.users {
        lines.push(line("users", &format!("{} may sign in", users.may_sign_in)));
        let trouble = users.trouble.iter().flat_map(|trouble| trouble.lines());
        lines.extend(trouble.map(|trouble| line("", trouble)));
    }
    let peers: Vec<String> = status.peers.iter().map(peer).collect();
    lines.extend(section("peers", &peers));
    lines.push(String::new());
    lines.join("\n")
}

fn configuration(config: &ConfigurationStatus) -> Vec<String> {
    let mut lines = vec![
        line("configuration", &config.file),
        line(
            "",
            &format!("generation {}, since {}", config.generation, config.since),
        ),
    ];
    if !config.needs_restart.is_empty() {
        let keys = config.needs_restart.join(", ");
        lines.push(line("", &format!("needs a restart: {keys}")));
    }
    if config.earlier_in_use > 0 {
        let count = config.earlier_in_use;
        lines.push(line(
            "",
            &format!("{count} from before still in use by requests"),
        ));
    }
    lines.extend(config.last_reload.iter().flat_map(last_reload));
    lines
}

fn last_reload(report: &ReloadReport) -> Vec<String> {
    let by = match report.trigger {
        Trigger::Command => "by command",
        Trigger::Files => "after a change of files",
        Trigger::Signal => "by SIGHUP",
    };
    match &report.result {
        ReloadResult::Applied { .. } => {
            vec![line(
                "last reload",
                &format!("{}, {by}: applied", report.at),
            )]
        }
        ReloadResult::Refused { faults, .. } => {
            let refused = format!("{}, {by}: refused, the one before goes on", report.at);
            let faults = faults.iter().map(|fault| line("", &fault.line()));
            std::iter::once(line("last reload", &refused))
                .chain(faults)
                .collect()
        }
    }
}

/// The certificates that end first.
fn certificates(listeners: &[ListenerStatus]) -> Vec<String> {
    let all = listeners.iter().flat_map(|listener| {
        let own = listener.certificates.iter();
        own.map(move |certificate| (certificate, &listener.name))
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(certificate, _)| &certificate.expires);
    let more = all.len().saturating_sub(CERTIFICATES_MAX);
    let shown = all.into_iter().take(CERTIFICATES_MAX);
    let shown = shown.map(|(certificate, listener)| {
        let state = match certificate.state.as_str() {
            "good" => String::new(),
            other => format!(", {}", other.replace('_', " ")),
        };
        let (name, expires) = (&certificate.name, &certificate.expires);
        format!("{name} on {listener}, until {expires}{state}")
    });
    let more = (more > 0).then(|| format!("and {more} that last longer"));
    shown.chain(more).collect()
}

fn pool(pool: &PoolStatus) -> Vec<String> {
    let upstreams = pool.upstreams.iter().map(|upstream| {
        let name = upstream.name.as_ref();
        format!(
            "{}: {}{} ({}), {}, {} in flight",
            pool.name,
            upstream.address,
            name.map(|name| format!(" of {name}")).unwrap_or_default(),
            upstream.tier,
            super::pool::state(upstream),
            upstream.in_flight
        )
    });
    let names = pool.names.iter().filter_map(|name| {
        let failing = name.failing.as_ref()?;
        Some(format!(
            "{}: {} is not resolved since {}, {} known: {}",
            pool.name,
            name.name,
            failing.since,
            match name.addresses {
                0 => "no address".to_owned(),
                1 => "1 address".to_owned(),
                many => format!("{many} addresses"),
            },
            failing.why
        ))
    });
    upstreams.chain(names).collect()
}

fn peer(peer: &PeerStatus) -> String {
    let skew = match peer.clock_skew_seconds {
        Some(skew) => format!("clock {skew:+.3} s"),
        None => "not heard of yet".to_owned(),
    };
    format!(
        "{}: circuit {}, {skew}, {} ends pending",
        peer.cluster_id, peer.circuit, peer.ends_pending
    )
}

/// A heading with one line per item.
fn section(heading: &str, items: &[String]) -> Vec<String> {
    let headings = std::iter::once(heading).chain(std::iter::repeat(""));
    let lines = items.iter().zip(headings);
    lines.map(|(item, heading)| line(heading, item)).collect()
}

fn line(heading: &str, text: &str) -> String {
    format!("{heading:<14} {text}").trim_end().to_owned()
}

/// A span in its two largest units.
fn span(seconds: u64) -> String {
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let from = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = units.iter().skip(from).take(2);
    let shown: Vec<String> = shown
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    shown.join(" ")
}

/// Certificates on a screen.
const CERTIFICATES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::control::CertificateStatus;
    use crate::ports::control::FaultReport;
    use crate::ports::control::NameFault;
    use crate::ports::control::NameStatus;
    use crate::ports::control::UpstreamStatus;
    use crate::ports::control::UsersStatus;

    fn unresolved(name: &str) -> NameStatus {
        NameStatus {
            name: name.to_owned(),
            addresses: 1,
            failing: Some(NameFault {
                since: "2026-11-22T12:30:00Z".to_owned(),
                why: "no name server answers".to_owned(),
            }),
        }
    }

    fn listener() -> ListenerStatus {
        ListenerStatus {
            name: "https".to_owned(),
            address: "0.0.0.0:443".to_owned(),
            tls: true,
            certificates: vec![CertificateStatus {
                name: "app.test".to_owned(),
                expires: "2026-12-01T00:00:00Z".to_owned(),
                state: "expires_soon".to_owned(),
            }],
        }
    }

    fn refused() -> ReloadReport {
        let fault = FaultReport {
            file: Some("/etc/portway/gateway.yaml".to_owned()),
            line: Some(3),
            column: Some(9),
            key: Some("threads".to_owned()),
            message: "`x` is not a whole number from 1 to 1024".to_owned(),
            hint: None,
        };
        ReloadReport {
            at: "2026-11-22T12:00:00Z".to_owned(),
            trigger: Trigger::Files,
            result: ReloadResult::Refused {
                faults: vec![fault],
                text: String::new(),
            },
        }
    }

    #[test]
    fn a_screen_says_what_runs_and_why_the_last_reload_was_refused() {
        let status = NodeStatus {
            version: "0.1.0".to_owned(),
            process_id: 7,
            cluster_id: "local".to_owned(),
            started: "2026-11-22T10:00:00Z".to_owned(),
            uptime_seconds: 90_061,
            readiness: "no_engine".to_owned(),
            configuration: ConfigurationStatus {
                file: "/etc/portway/gateway.yaml".to_owned(),
                generation: 2,
                since: "2026-11-22T11:00:00Z".to_owned(),
                needs_restart: vec!["threads".to_owned()],
                earlier_in_use: 1,
                last_reload: Some(refused()),
            },
            listeners: vec![listener()],
            pools: vec![PoolStatus {
                name: "app".to_owned(),
                upstreams: vec![UpstreamStatus {
                    address: "10.0.0.1:80".to_owned(),
                    name: Some("app.test:80".to_owned()),
                    tier: "primary".to_owned(),
                    state: "down".to_owned(),
                    weight: 1,
                    ..UpstreamStatus::default()
                }],
                names: vec![unresolved("app.test:80")],
            }],
            sessions: Some(12),
            users: Some(UsersStatus {
                may_sign_in: 40,
                trouble: Some("the users are as before: users.yaml:3:1: no".to_owned()),
            }),
            peers: Vec::new(),
        };
        let expected = "\
portway        0.1.0, process 7
data centre    local
up             1d 1h (since 2026-11-22T10:00:00Z)
readiness      no engine
configuration  /etc/portway/gateway.yaml
               generation 2, since 2026-11-22T11:00:00Z
               needs a restart: threads
               1 from before still in use by requests
last reload    2026-11-22T12:00:00Z, after a change of files: refused, the one before goes on
               /etc/portway/gateway.yaml:3:9  threads: `x` is not a whole number from 1 to 1024
listeners      https on 0.0.0.0:443 (https)
certificates   app.test on https, until 2026-12-01T00:00:00Z, expires soon
pools          app: 10.0.0.1:80 of app.test:80 (primary), down, 0 in flight
               app: app.test:80 is not resolved since 2026-11-22T12:30:00Z, 1 address known: no name server answers
sessions       12
users          40 may sign in
               the users are as before: users.yaml:3:1: no
";
        assert_eq!(screen(&status), expected);
    }

    #[test]
    fn a_span_has_two_units_at_most() {
        assert_eq!(span(0), "0s");
        assert_eq!(span(59), "59s");
        assert_eq!(span(3_600), "1h 0m");
        assert_eq!(span(86_400 * 9), "9d 0h");
    }
}
