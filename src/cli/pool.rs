//! `portway pool`: shows the pools of a running node, takes an upstream out and lets it in again.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use form_urlencoded::Serializer;
use serde::Serialize;

use crate::cli::node;
use crate::cli::node::NodeArgs;
use crate::cli::node::NodeError;
use crate::cli::node::Shown;
use crate::cli::table;
use crate::config::parse::quantity;
use crate::ports::control::PoolStatus;
use crate::ports::control::UpstreamStatus;
use crate::ports::pools::Busy;
use crate::ports::pools::Draining;
use crate::ports::pools::PoolChange;
use crate::ports::pools::PoolList;
use crate::ports::pools::Undraining;
use crate::ports::pools::UpstreamName;

/// What about pools.
#[derive(Debug, Args)]
pub(super) struct PoolArgs {
    #[command(subcommand)]
    verb: PoolVerb,
}

#[derive(Debug, Subcommand)]
enum PoolVerb {
    /// Takes an upstream out: no request begins there, those that run go on; restarts change nothing about it
    Drain {
        #[command(flatten)]
        which: UpstreamArgs,
        /// Waits until no request runs there, but no longer than this, by default 30s
        #[arg(long, value_name = "SPAN", value_parser = span, num_args = 0..=1, default_missing_value = "30s")]
        wait: Option<Duration>,
        /// Also where no other upstream of the pool takes requests: users see an error page then
        #[arg(long)]
        even_if_last: bool,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// Lists the upstreams of a pool, or of all, and how they are
    List {
        /// The pool; by default all
        pool: Option<String>,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
    /// Lets an upstream in again
    Undrain {
        /// The pool
        pool: String,
        /// The upstream, as `list` shows it; by default all of the pool
        upstream: Option<String>,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        shown: Shown,
    },
}

/// Which upstream.
#[derive(Debug, Args)]
struct UpstreamArgs {
    /// The pool
    pool: String,
    /// The upstream, as `list` shows it: host and port as configured, one address of a name, or a socket
    upstream: String,
}

/// Runs `portway pool`: 0 when it was done, 1 when the node says no, or requests still run after the wait.
pub(super) fn run(args: &PoolArgs) -> ExitCode {
    let done = match &args.verb {
        PoolVerb::Drain {
            which,
            wait,
            even_if_last,
            node,
            shown,
        } => {
            let draining = Draining {
                which: UpstreamName {
                    pool: which.pool.clone(),
                    upstream: which.upstream.clone(),
                },
                even_if_last: *even_if_last,
            };
            drain((node, shown), &draining, *wait)
        }
        PoolVerb::List { pool, node, shown } => list(node, shown, pool.as_deref()),
        PoolVerb::Undrain {
            pool,
            upstream,
            node,
            shown,
        } => {
            let which = Undraining {
                pool: pool.clone(),
                upstream: upstream.clone(),
            };
            undrain(node, shown, &which)
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => node::refused(&error),
    }
}

fn list(node: &NodeArgs, shown: &Shown, pool: Option<&str>) -> Result<ExitCode, NodeError> {
    let mut query = Serializer::new(String::new());
    if let Some(pool) = pool {
        query.append_pair("pool", pool);
    }
    let list: PoolList = node::get(node, &format!("/v1/pools?{}", query.finish()))?;
    if shown.json {
        super::say_json(&list);
    } else {
        super::say(&listed(&list.pools));
    }
    Ok(ExitCode::SUCCESS)
}

/// What came of draining, for programs.
#[derive(Serialize)]
struct DrainResult {
    #[serde(flatten)]
    change: PoolChange,
    /// Requests that still run there, where somebody waited for them.
    in_flight: Option<usize>,
}

fn drain(
    (node, shown): (&NodeArgs, &Shown),
    which: &Draining,
    wait: Option<Duration>,
) -> Result<ExitCode, NodeError> {
    let change: PoolChange = node::post(node, "/v1/pools/drain", body(which))?;
    if !shown.json {
        say_changed(&change, &which.which.upstream, "drained");
    }
    let in_flight = wait.map(|wait| busy_after(node, &which.which, wait));
    let in_flight = in_flight.transpose()?;
    if shown.json {
        super::say_json(&DrainResult { change, in_flight });
    } else {
        match in_flight {
            None => {}
            Some(0) => super::say("no request runs there any more\n"),
            Some(1) => super::complain("1 request still runs there\n"),
            Some(many) => super::complain(&format!("{many} requests still run there\n")),
        }
    }
    let is_idle = in_flight.is_none_or(|in_flight| in_flight == 0);
    Ok(if is_idle {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(STILL_BUSY)
    })
}

/// How many requests run at an upstream after at most this long; none as soon as there is none.
fn busy_after(
    node: &NodeArgs,
    which: &UpstreamName,
    mut wait: Duration,
) -> Result<usize, NodeError> {
    loop {
        let within = wait.min(WAIT_AT_ONCE);
        let mut query = Serializer::new(String::new());
        query.append_pair("pool", &which.pool);
        query.append_pair("upstream", &which.upstream);
        query.append_pair("within", &within.as_millis().to_string());
        let busy: Busy = node::get(node, &format!("/v1/pools/idle?{}", query.finish()))?;
        wait = wait.saturating_sub(within);
        if busy.in_flight == 0 || wait.is_zero() {
            return Ok(busy.in_flight);
        }
    }
}

fn undrain(node: &NodeArgs, shown: &Shown, which: &Undraining) -> Result<ExitCode, NodeError> {
    let change: PoolChange = node::post(node, "/v1/pools/undrain", body(which))?;
    if shown.json {
        super::say_json(&change);
    } else {
        let named = which.upstream.as_deref().unwrap_or(&which.pool);
        say_changed(&change, named, "let in");
    }
    Ok(ExitCode::SUCCESS)
}

fn say_changed(change: &PoolChange, named: &str, what: &str) {
    if change.changed.is_empty() {
        super::say(&format!("nothing changes: {named} is {what} already\n"));
    }
    for upstream in &change.changed {
        super::say(&format!(
            "{upstream} of the pool {} is {what}\n",
            change.pool.name
        ));
    }
}

fn body(value: &impl Serialize) -> Vec<u8> {
    // Names and switches always become JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

fn listed(pools: &[PoolStatus]) -> String {
    let headings = ["POOL", "UPSTREAM", "TIER", "STATE", "WEIGHT", "IN FLIGHT"];
    let rows = pools.iter().flat_map(|pool| {
        pool.upstreams.iter().map(|upstream| {
            let name = upstream.name.as_ref();
            let name = name.map(|name| format!(" of {name}")).unwrap_or_default();
            [
                pool.name.clone(),
                format!("{}{name}", upstream.address),
                upstream.tier.clone(),
                state(upstream),
                upstream.weight.to_string(),
                upstream.in_flight.to_string(),
            ]
        })
    });
    table::written(&headings, rows)
}

/// The state of an upstream in words.
pub(super) fn state(upstream: &UpstreamStatus) -> String {
    let also_drained = upstream.is_drained && upstream.state != "drained";
    let drained = if also_drained { ", drained" } else { "" };
    let until = upstream.ejected_until.as_ref();
    let until = until.filter(|_| upstream.state == "ejected");
    let until = until.map(|until| format!(" until {until}"));
    let until = until.unwrap_or_default();
    let share = upstream.percent_of_share;
    let share = share.map(|percent| format!(", new: {percent}% of its share"));
    let share = share.unwrap_or_default();
    let fault = upstream.check_fault.as_ref();
    let fault = fault.map(|why| format!(" (check: {why})"));
    let fault = fault.unwrap_or_default();
    format!("{}{until}{drained}{share}{fault}", upstream.state)
}

fn span(text: &str) -> Result<Duration, String> {
    quantity::duration(text).map_err(|error| match error.hint(text) {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}

/// Less than the node keeps a question waiting.
const WAIT_AT_ONCE: Duration = Duration::from_secs(30);
const STILL_BUSY: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(address: &str, state: &str, is_drained: bool) -> UpstreamStatus {
        UpstreamStatus {
            address: address.to_owned(),
            name: Some("app.test:80".to_owned()),
            tier: "primary".to_owned(),
            state: state.to_owned(),
            is_drained,
            weight: 2,
            in_flight: 3,
            ejected_until: (state == "ejected").then(|| "2026-11-23T08:00:00Z".to_owned()),
            ..UpstreamStatus::default()
        }
    }

    #[test]
    fn a_list_says_what_is_drained_whatever_else_it_is() {
        let pools = [PoolStatus {
            name: "app".to_owned(),
            upstreams: vec![
                upstream("10.0.0.1:80", "drained", true),
                upstream("10.0.0.2:80", "down", true),
                upstream("10.0.0.3:80", "healthy", false),
                upstream("10.0.0.4:80", "ejected", false),
            ],
            names: Vec::new(),
        }];
        let expected = "\
POOL  UPSTREAM                    TIER     STATE                               WEIGHT  IN FLIGHT
app   10.0.0.1:80 of app.test:80  primary  drained                             2       3
app   10.0.0.2:80 of app.test:80  primary  down, drained                       2       3
app   10.0.0.3:80 of app.test:80  primary  healthy                             2       3
app   10.0.0.4:80 of app.test:80  primary  ejected until 2026-11-23T08:00:00Z  2       3
";
        assert_eq!(listed(&pools), expected);
    }
}
